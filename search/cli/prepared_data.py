"""The data of a search, as its options choose and clean it."""

from __future__ import annotations

from search.cli.options.search_options import SearchOptions
from trainables.data import DataSource, NoSuchImageError, PreparedData, prepare, read_drop_list
from trainables.data.sizes.images import by


def prepared_data(options: SearchOptions) -> PreparedData:
    """Prepare the data of a search.

    Raises:
        ValueError: if the data, the drop list or the size of the crops is not usable.
    """
    lines = read_drop_list(options.drop_list) if options.drop_list is not None else {}
    source = DataSource(
        uri=options.data,
        seed=options.seed,
        keep_outliers=options.keep_outliers,
        drop_list=tuple(lines),
        images=options.images,
        masks=options.masks,
        ignored_label=options.ignored_label,
        split=options.split,
        group_pattern=options.group_pattern,
        crop=options.crop,
    )
    try:
        data = prepare(source)
    except NoSuchImageError as error:
        raise ValueError(f"{options.drop_list}, line {lines[error.entry]}: {error}") from None
    largest = data.sizes.max(axis=0)
    if (largest < data.crop).any():
        raise ValueError(
            f"--crop {by(data.crop)}: the images of {options.data} have at most {by(largest)} pixels (height x width): "
            "give a smaller size, or leave the option out"
        )
    data.check_scored()
    return data
