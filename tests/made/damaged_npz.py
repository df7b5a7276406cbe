"""npz files with randomly drawn errors."""

from __future__ import annotations

import io
import random
import zipfile

import numpy as np

from tests.made.damage import damaged_bytes

HUGE = (2**31, 2**31, 2**40, 10**18, 10**30)


def members() -> dict[str, bytes]:
    masks = np.random.default_rng(0).integers(0, 3, (12, 8, 6)).astype(np.uint8)
    images = (masks * 50 + np.arange(12, dtype=np.uint8)[:, None, None]).astype(np.uint8)
    arrays = {
        "training_set": np.stack([images, masks], axis=1),
        "test_set": images[:3],
        "class_names": np.array(["soil", "sand", "rock"]),
        "ignored_label": np.array(0),
    }
    found = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, array)
        found[name] = stream.getvalue()
    return found


def header(draw: random.Random, content: bytes) -> bytes:
    """Return a member whose header does not match its content."""
    shape = tuple(draw.choice((*HUGE, 0, 1, 2, -1, 8)) for _ in range(draw.randrange(6)))
    dtype = draw.choice(
        ("|u1", "<f8", "<i8", "|O", "<U8", "|V9", "<c16", "<M8[s]", "|b1", "<f2", "|S4", "<U1000000000")
    )
    claimed = {"descr": dtype, "fortran_order": draw.random() < 0.5, "shape": shape}
    text = draw.choice((repr(claimed), repr(claimed), repr(claimed), "(" * 5000, "{}", "[" * 300 + "]" * 300))
    body = text.encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + len(body).to_bytes(4, "little") + body + content[128:]


def damaged_npz(draw: random.Random) -> bytes:
    found = members()
    for _ in range(draw.choice((0, 1, 1, 2))):
        name = draw.choice(list(found))
        way = draw.randrange(4)
        if way == 0:
            found[name] = damaged_bytes(found[name], draw)
        elif way == 1:
            found[name] = header(draw, found[name])
        elif way == 2:
            found[draw.choice(list(found))] = found[name]
        else:
            del found[name]
            found = found or {"x": b""}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in found.items():
            archive.writestr(f"{name}{draw.choice(('.npy', '.npy', '.npy', ''))}", content)
    return damaged_bytes(stream.getvalue(), draw) if draw.random() < 0.5 else stream.getvalue()
