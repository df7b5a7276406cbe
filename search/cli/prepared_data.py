"""The data of a search, as its options choose and clean it."""

from __future__ import annotations

from search.cli.options.search_options import SearchOptions
from trainables.data import DataSource, NoSuchImageError, PreparedData, prepare, read_drop_list


def prepared_data(options: SearchOptions) -> PreparedData:
    """Prepare the data of a search.

    Raises:
        ValueError: if the data or the drop list is not usable.
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
    )
    try:
        data = prepare(source)
    except NoSuchImageError as error:
        raise ValueError(f"{options.drop_list}, line {lines[error.entry]}: {error}") from None
    data.check_scored()
    return data
