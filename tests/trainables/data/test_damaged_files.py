"""Whoever reads a data file that something damaged, or that somebody made up, gets data or a ValueError."""

from __future__ import annotations

import io
import random
import traceback
import zipfile

import numpy as np
import pytest

from tests.damage import damaged_bytes
from trainables.data import DataSource, prepare
from trainables.data.npz import read_npz

FEW, MANY = 200, 1000
HUGE = (2**31, 2**31, 2**40, 10**18, 10**30)


def members():
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


def header(draw, content):
    """A member whose header claims something else."""
    shape = tuple(draw.choice((*HUGE, 0, 1, 2, -1, 8)) for _ in range(draw.randrange(6)))
    dtype = draw.choice(
        ("|u1", "<f8", "<i8", "|O", "<U8", "|V9", "<c16", "<M8[s]", "|b1", "<f2", "|S4", "<U1000000000")
    )
    claimed = {"descr": dtype, "fortran_order": draw.random() < 0.5, "shape": shape}
    text = draw.choice((repr(claimed), repr(claimed), repr(claimed), "(" * 5000, "{}", "[" * 300 + "]" * 300))
    body = text.encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + len(body).to_bytes(4, "little") + body + content[128:]


def damaged_file(draw):
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


def fuzz(seeds):
    taken = 0
    for seed in seeds:
        content = damaged_file(random.Random(seed))
        try:
            read_npz(io.BytesIO(content), "x.npz")
            taken += 1
        except ValueError:
            continue
        except BaseException:
            pytest.fail(f"seed {seed}: {traceback.format_exc()}")
    return taken


@pytest.mark.filterwarnings("ignore")
def test_whoever_reads_a_damaged_file_gets_data_or_a_value_error():
    assert 0 < fuzz(range(FEW)) < FEW / 2


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_and_so_for_many():
    fuzz(range(FEW, FEW + MANY))


def test_a_claimed_shape_takes_no_memory(tmp_path):
    """A file of a few bytes that says it holds a terabyte."""
    found = members()
    body = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 2, 1000, 1000)}\n"
    found["training_set"] = b"\x93NUMPY\x02\x00" + len(body).to_bytes(4, "little") + body
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in found.items():
            archive.writestr(f"{name}.npy", content)
    with pytest.raises(ValueError, match="training_set"):
        prepare(DataSource(uri=str(path)))
