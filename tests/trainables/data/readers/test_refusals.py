"""What no reader takes: each message names the file, the value and the rule, and says what to do next."""

from __future__ import annotations

import functools
import io
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.made.layouts import png, tiff, write_coco, write_colours, write_files
from trainables.data.gathering.gather import gather
from trainables.data.gathering.survey import survey
from trainables.data.readers.choose import file_reader, folder_reader

IMAGES = np.arange(4 * 6 * 8, dtype=np.uint8).reshape(4, 6, 8)
MASKS = np.tile(np.uint8([0, 1]), (4, 6, 4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images and masks as PNG files."""
    write_files(tmp_path / "data", IMAGES, MASKS)
    return tmp_path / "data"


def read(folder: Path, ignored: int | None = None, **names: str) -> None:
    reader = folder_reader(str(folder), names.get("images"), names.get("masks"))
    arrays = folder.parent / "arrays"
    arrays.mkdir()
    gather(reader, survey(reader), arrays, ignored=ignored)


def remove_mask(folder: Path) -> None:
    (folder / "masks" / "002.png").unlink()


def remove_masks(folder: Path) -> None:
    (folder / "masks").rename(folder / "truth")


def empty(folder: Path) -> None:
    for name in ("images", "masks"):
        for file in (folder / name).iterdir():
            file.unlink()


def other_size(folder: Path) -> None:
    (folder / "masks" / "001.png").write_bytes(png(MASKS[0].T))


def html(folder: Path) -> None:
    (folder / "images" / "003.png").write_bytes(b"<!DOCTYPE html><html>Sign in</html>")


def pointer(folder: Path) -> None:
    (folder / "images" / "003.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def damaged(folder: Path) -> None:
    (folder / "images" / "003.png").write_bytes(png(IMAGES[3])[:45])


def jpeg_masks(folder: Path) -> None:
    for file in (folder / "masks").iterdir():
        Image.fromarray(MASKS[0]).save(file.with_suffix(".jpg"))
        file.unlink()


def transparent_mask(folder: Path) -> None:
    colours = np.repeat(MASKS[0][..., None], 4, axis=-1)
    (folder / "masks" / "001.png").write_bytes(png(colours))


def mixed_channels(folder: Path) -> None:
    (folder / "images" / "001.png").unlink()
    (folder / "images" / "001.tif").write_bytes(tiff(np.zeros((6, 8, 5), np.uint8)))


def not_finite(folder: Path) -> None:
    (folder / "images" / "001.png").unlink()
    pixels = np.zeros((6, 8), np.float32)
    pixels[2, 3] = np.nan
    (folder / "images" / "001.tif").write_bytes(tiff(pixels))


def one_class(folder: Path) -> None:
    for file in (folder / "masks").iterdir():
        file.write_bytes(png(np.zeros((6, 8), np.uint8)))


def fractions(folder: Path) -> None:
    (folder / "masks" / "001.png").unlink()
    (folder / "masks" / "001.tif").write_bytes(tiff(np.full((6, 8), 0.5, np.float32)))


def values(*held: int) -> Callable[[Path], None]:
    """Make all masks hold these values."""

    def change(folder: Path) -> None:
        for file in (folder / "masks").iterdir():
            file.with_suffix(".tif").write_bytes(tiff(np.resize(np.array(held, np.int32), (6, 8))))
            file.unlink()

    return change


def same_name(folder: Path) -> None:
    (folder / "images" / "001.tif").write_bytes(tiff(IMAGES[1]))


def colours_alone(folder: Path) -> None:
    write_colours(folder, IMAGES, MASKS)
    (folder / "classes.yaml").unlink()


def classes(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "classes.yaml").write_text(text)

    return write


def split(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "split.csv").write_text(text)

    return write


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove_mask, r"1 of 4 images have no mask of the same name: images/002\.png\. Add their masks"),
        (remove_masks, r"has folders images, truth; looked for folders images/ and masks/.*name others with --images"),
        (empty, r"holds no files; looked for"),
        (lambda folder: unzipped(folder), r"holds the arrays training_set\.npy: save them together in an npz file"),
        (lambda folder: without_folders(folder), r"has no folders, only files such as a\.png, b\.png, c\.png and 1"),
        (other_size, r"images/001\.png is 6x8, its mask 8x6: they must have the same.*EXIF"),
        (html, r"images/003\.png: is an HTML page, not the file itself: the download went wrong"),
        (pointer, r"images/003\.png: is a Git LFS pointer.*git lfs pull"),
        (damaged, r"images/003\.png: cannot be decoded"),
        (jpeg_masks, r"masks/000\.jpg: a JPEG file changes labels.*store masks as PNG"),
        (transparent_mask, r"masks/001\.png: the mask has transparent pixels: store it without an alpha channel"),
        (mixed_channels, r"different numbers of channels: 1 in images/000\.png, 5 in images/001\.tif"),
        (not_finite, r"images/001\.tif holds \[nan\] at row 2, column 3: pixels must be finite"),
        (one_class, r"the masks hold 1 scored class \(0\), at least two are needed"),
        (values(0, 1, 65536), r"masks hold 65536, but a class is a number from 0 to 65535: number the classes 0, 1, 2"),
        (values(-1, 0, 1), r"masks hold -1, but a class .*: give --ignored-label -1 if it marks unlabelled pixels, or"),
        (fractions, r"masks/001\.tif: the mask holds 0\.5: labels are whole numbers"),
        (same_name, r"images share a name, so that their masks are ambiguous: images/001\.png, images/001\.tif"),
        (colours_alone, r"(?s)no classes\.yaml says which colour.*colour: \"#00ff03\""),
        (classes("classes: [{name: a}]"), r"classes\.yaml: entry 0 has neither a label nor a colour"),
        (classes("classes: [{label: 0, nam: a}]"), r"classes\.yaml: entry 0 has unknown keys nam: known are label"),
        (classes("classes: [{label: -1}]"), r"entry 0: label is -1, must be a whole number from 0 to 65535"),
        (classes("classes: [{colour: red}]"), r"colour is 'red', must be \"#rrggbb\" or"),
        (classes("classes: {"), r"classes\.yaml: not valid YAML"),
        (classes("3"), r"classes\.yaml: must hold a list `classes`"),
        (classes("[{label: 0}, {label: 0, name: b}]"), r"the label 0 is declared twice"),
        (
            classes("[{label: 0}, {label: 2}]"),
            r"mask of images/000\.png holds 1 at row 0, column 1: its classes are 0, 2",
        ),
        (split("a,b\n1,2\n"), r"split\.csv: must begin with the line `name,part`"),
        (
            split("name,part\n000,training\n001,exam\n"),
            r"split\.csv: line 3 has part 'exam', must be train, val or test",
        ),
        (split("name,part\n009,train\n"), r"split\.csv: line 2 names '009', which is no image of the folder"),
        (split("name,part\n000,train\n"), r"split\.csv: says no part for 3 images: images/001\.png"),
    ],
)
def test_folders(folder: Path, change: Callable[[Path], None], message: str) -> None:
    change(folder)
    with pytest.raises(ValueError, match=message) as refused:
        read(folder)
    assert str(folder) in str(refused.value)


def test_the_outermost_values_of_masks_are_read(folder: Path) -> None:
    values(-(2**15), 0, 65535)(folder)
    read(folder, ignored=-(2**15))


def test_colour_masks_may_be_black_and_white(folder: Path) -> None:
    for file in (folder / "masks").iterdir():
        file.write_bytes(png(np.repeat(MASKS[0][..., None] * 255, 3, axis=-1)))
    (folder / "classes.yaml").write_text('[{colour: "#000000", name: a}, {colour: "#ffffff", name: b}]')
    reader = folder_reader(str(folder), None, None)
    (folder / "arrays").mkdir()
    raw = gather(reader, survey(reader), folder / "arrays")
    np.testing.assert_array_equal(raw.masks, MASKS)
    assert raw.description.colour_masks
    np.testing.assert_array_equal(raw.description.masks(MASKS[0])[..., 1], MASKS[0] * 255)


def test_binary_masks_have_two_readings(folder: Path) -> None:
    for file in (folder / "masks").iterdir():
        file.write_bytes(png(MASKS[0] * 255))
    reader = folder_reader(str(folder), None, None)
    (folder / "arrays").mkdir()
    raw = gather(reader, survey(reader), folder / "arrays")
    assert (raw.description.class_names, raw.description.ignored_label) == (("0", "255"), None)
    assert raw.announcements == (
        "the masks hold 0 and 255: taken for two classes; with --ignored-label 255 the pixels of 255 are unlabelled "
        "instead",
    )
    with pytest.raises(
        ValueError, match=r"1 scored class .*read 255 as the second class by leaving out --ignored-label"
    ):
        read(folder, ignored=255)


def test_named_sub_folders(folder: Path) -> None:
    (folder / "images").rename(folder / "photos")
    (folder / "masks").rename(folder / "truth")
    reader = folder_reader(str(folder), "photos", "truth")
    assert [pair.name for pair in reader.pairs()] == [f"photos/00{index}.png" for index in range(4)]
    with pytest.raises(
        ValueError, match=r"found no images \(looked for folders named pictures\); it holds photos, truth"
    ):
        list(folder_reader(str(folder), "pictures", "truth").pairs())


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def zip_of_pictures() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for index in range(2000):
            archive.writestr(f"images/{index:06}.png", b"")
    return stream.getvalue()


def single_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, IMAGES)
    return stream.getvalue()


XML = b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>'
HTML = b"<!DOCTYPE html><title>Sign in</title>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
NOT_FETCHED = ((b"", "is empty"), (HTML, "is an HTML page"), (XML, "is an error"), (POINTER, "is a Git LFS pointer"))


@pytest.mark.parametrize(("content", "message"), NOT_FETCHED)
@pytest.mark.parametrize("name", ["images/001.png", "masks/002.png", "classes.yaml", "split.csv", "annotations.json"])
def test_what_was_not_fetched_is_told_whatever_it_should_be(
    name: str, content: bytes, message: str, folder: Path
) -> None:
    if name == "annotations.json":
        (folder / "coco").mkdir()
        folder = Path(write_coco(folder / "coco", IMAGES, MASKS))
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(folder / name))}: {message}"):
        read(folder)


@pytest.mark.parametrize(("content", "message"), NOT_FETCHED)
@pytest.mark.parametrize("suffix", [".npz", ".json", ".parquet", ""])
def test_a_single_file_too(suffix: str, content: bytes, message: str, tmp_path: Path) -> None:
    (file := tmp_path / f"data{suffix}").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(file))}: {message}"):
        read_file(file)


def unzipped(folder: Path) -> None:
    empty(folder)
    np.save(folder / "training_set.npy", IMAGES)


def without_folders(folder: Path) -> None:
    empty(folder)
    for name in "abcd":
        (folder / f"{name}.png").write_bytes(png(IMAGES[0]))


def read_file(file: Path) -> None:
    reader = file_reader(str(file), functools.partial(file.open, "rb"), None, None)
    assert reader is not None
    gather(reader, survey(reader), file.parent)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\).*fetch it again"),
        (XML, r"is an error message of an object store, not the file itself: fetch it again"),
        (png(IMAGES[0]), r"is a PNG image, not a data set: name the folder that holds images/ and masks/ with --data"),
        (b"\xff\xd8\xff\xe0", r"is a JPEG image, not a data set: name the folder"),
        (b"II*\0", r"is a TIFF image, not a data set: name the folder"),
        (b"PAR1", r"is a Parquet file: give its name the ending \.parquet"),
        (b'{"images": []}', r"looks like JSON: give its name the ending \.json"),
        (b"7z\xbc\xaf\x27\x1c", r"is a 7z archive: unpack it"),
        (b"a".ljust(257, b"\0") + b"ustar", r"is a tar archive: unpack it"),
        (b"%PDF-1.7", r"is a PDF document, not a data set"),
        (b"\n <!doctype HTML>", r"is an HTML page, not the file itself: the download went wrong, or needs a login"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"is a Git LFS pointer.*git lfs pull"),
        (single_array(), r"is a single NumPy array \(\.npy\): save images and masks together with np\.savez"),
        (npz(images=IMAGES, masks=MASKS)[:-40], r"is a truncated zip archive.*fetch it again"),
        (b"\x1f\x8b\x08", r"is a compressed archive: unpack it"),
        (b"what", r"not an npz file.*Parquet \(\.parquet\) or COCO annotations \(\.json\)"),
        (zip_of_pictures(), r"is a zip archive of images/000000.png, images/000001.png and 1,998 more: unpack it"),
        (b"MATLAB 5.0 MAT-file", r"is a MATLAB file: save its arrays with np\.savez"),
        (b"\x89HDF\r\n", r"is an HDF5 file: save its arrays"),
        (pickle.dumps([]), r"is a pickle, which is never loaded: save its arrays"),
        (
            npz(a=IMAGES, b=MASKS),
            r"no key 'training_set', and no keys images.*it has a, b\): name its keys with --images",
        ),
        (npz(images=IMAGES, masks=MASKS[:3]), r"images has shape \(4, 6, 8\) and masks \(3, 6, 8\): there must be one"),
        (npz(images=IMAGES[0], masks=MASKS), r"images has shape \(6, 8\), must be \(N, H, W\)"),
        (npz(images=IMAGES, masks=MASKS[0]), r"masks has shape \(6, 8\), must be \(N, H, W\)"),
        (npz(images=IMAGES, masks=MASKS + 0.5), r"masks\[0\] holds 0\.5 at row 0, column 0: labels are whole numbers"),
        (npz(images=IMAGES, masks=MASKS.astype(str)), r"masks has type <U\d+, must be integers or floats"),
        (
            npz(images=IMAGES, masks=MASKS.astype(object)),
            r"masks.* holds pickled Python objects, which are never loaded",
        ),
        (npz(images=IMAGES, masks=MASKS, split=np.array(["train"] * 3 + ["dev"])), r"split holds dev: its values are"),
        (npz(images=IMAGES, masks=MASKS, class_names=np.arange(2)), r"class_names must be a list of strings"),
        (npz(images=IMAGES, masks=MASKS, ignored_label=1), r"has ignored_label but no class_names: add class_names"),
    ],
)
def test_files(content: bytes, message: str, tmp_path: Path) -> None:
    (file := tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as refused:
        read_file(file)
    assert str(file) in str(refused.value)
    assert len(str(refused.value)) < 700


def test_annotations(tmp_path: Path) -> None:
    folder = Path(write_coco(tmp_path, IMAGES, MASKS))
    text = (folder / "annotations.json").read_text()
    for changed, message in (
        (text[:-9], r"annotations\.json: is not valid JSON"),
        (text.replace('"categories"', '"kinds"'), r"COCO annotations have the keys annotations, categories, images"),
        (text.replace('"category_id": 1', '"category_id": 7'), r"annotations use categories that are not declared: 7"),
        (text.replace("003.png", "x.png"), r"names the image x\.png, which is not under .*give --images FOLDER"),
        (text.replace('"size": [6, 8]', '"size": [8, 6]'), r"cannot be read \(encoded for 8x6, the image is 6x8\)"),
    ):
        (folder / "annotations.json").write_text(changed)
        with pytest.raises(ValueError, match=message):
            survey(folder_reader(str(folder), None, None))
