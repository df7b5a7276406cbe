"""Files that are not what their names say: what they are, by their first bytes, and what to do about it."""

from __future__ import annotations

HEAD = 512
"""Number of bytes that tell what a file is."""
UNPACK = "unpack it, and name the folder or file in it with --data"
ONE_IMAGE = "not a data set: name the folder that holds images/ and masks/ with --data"
ARRAYS = "save its arrays with np.savez (see docs/sources/arrays.md)"
KINDS: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "is a single NumPy array (.npy): save images and masks together with np.savez"),
    (b"PK\x03\x04", "is a truncated zip archive, probably an interrupted download: fetch it again"),
    (b"\x1f\x8b", f"is a compressed archive: {UNPACK}"),
    (b"BZh", f"is a compressed archive: {UNPACK}"),
    (b"\xfd7zXZ", f"is a compressed archive: {UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"is a compressed archive: {UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"is a 7z archive: {UNPACK}"),
    (b"Rar!\x1a\x07", f"is a RAR archive: {UNPACK}"),
    (b"\x89PNG", f"is a PNG image, {ONE_IMAGE}"),
    (b"\xff\xd8\xff", f"is a JPEG image, {ONE_IMAGE}"),
    (b"GIF8", f"is a GIF image, {ONE_IMAGE}"),
    (b"II*\0", f"is a TIFF image, {ONE_IMAGE}"),
    (b"MM\0*", f"is a TIFF image, {ONE_IMAGE}"),
    (b"PAR1", "is a Parquet file: give its name the ending .parquet"),
    (b"{", "looks like JSON: give its name the ending .json if it holds COCO annotations"),
    (b"MATLAB", f"is a MATLAB file: {ARRAYS}"),
    (b"\x89HDF", f"is an HDF5 file: {ARRAYS}"),
    (b"\x80", f"is a pickle, which is never loaded: {ARRAYS}"),
    (b"%PDF", "is a PDF document, not a data set"),
)
"""First bytes of files that users give as a data set by mistake, and the message for each."""
TAR = slice(257, 262)


def refuse_other_than_data(head: bytes, name: str) -> None:
    """Refuse what a failed download leaves instead of a file, whatever kind of file was expected.

    Args:
        head: at least the first HEAD bytes of the file, or all.
        name: path or URI of the file, for the message.

    Raises:
        ValueError: if it is empty, a Git LFS pointer, or a page or error message from a web server.
    """
    text = head[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        raise ValueError(f"{name}: is empty (0 bytes): the download or copy was interrupted, fetch it again")
    if text.startswith((b"<!doctype html", b"<html")):
        raise ValueError(f"{name}: is an HTML page, not the file itself: the download went wrong, or needs a login")
    if text.startswith(b"<?xml") and b"<error>" in text:
        raise ValueError(f"{name}: is an error message of an object store, not the file itself: fetch it again")
    if text.startswith(b"version https://git-lfs"):
        raise ValueError(f"{name}: is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`")


def what_it_is(head: bytes) -> str:
    """Return what a file that is no zip archive is, and what to do about it, for a message."""
    if head[TAR] == b"ustar":
        return f"is a tar archive: {UNPACK}"
    for signature, said in KINDS:
        if head.startswith(signature):
            return said
    return (
        "not an npz file (it is not a zip archive), nor of another known kind: Parquet (.parquet) or COCO annotations "
        "(.json), see docs/data.md"
    )
