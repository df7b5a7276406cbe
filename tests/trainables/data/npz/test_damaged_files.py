"""Whoever reads a data file that something damaged, or that somebody made up, gets data or a ValueError."""

from __future__ import annotations

import io
import random
import traceback
import zipfile

import pytest

from tests.made.damaged_npz import damaged_npz, members
from trainables.data import DataSource, prepare
from trainables.data.npz import read_npz

FEW, MANY = 200, 1000


def fuzz(seeds):
    taken = 0
    for seed in seeds:
        content = damaged_npz(random.Random(seed))
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
