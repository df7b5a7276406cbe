"""Users' mistakes through the real command: exit code 2, one clear message, no traceback, nothing written."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from tests.integration.conftest import tiny_pairs
from tests.made.competition import MARS_KEYS

PAIRS = tiny_pairs()
FLOATS = PAIRS.astype(np.float32)


def changed(position, value):
    pairs = FLOATS.copy()
    pairs[position] = value
    return pairs


BAD_FILES = {
    "not an npz": (b"hello", "bad.npz: not an npz file"),
    "pickled objects": (
        {"training_set": np.array([{"a": 1}], dtype=object)},
        "bad.npz: training_set holds pickled Python objects, which are never loaded",
    ),
    "missing key": ({"train": PAIRS}, "bad.npz: has no key 'training_set', and no keys images or"),
    "wrong rank": (
        {"training_set": PAIRS[:, 0]},
        "training_set has shape (24, 16, 24), must have 4 axes: (N, 2, H, W)",
    ),
    "unpaired": ({"training_set": PAIRS[:, :1]}, "its second axis must have size 2: image and mask"),
    "test set of another size": (
        {"training_set": PAIRS, "test_set": PAIRS[:, 0, 1:]},
        "test_set has shape (24, 15, 24), must be (M, 16, 24)",
    ),
    "label out of range": (
        {"training_set": changed((3, 1, 2, 5), 9), **MARS_KEYS},
        "training_set mask 3 holds 9 at row 2, column 5: labels are whole numbers from 0 to 4",
    ),
    "label between": ({"training_set": changed((3, 1, 2, 5), 1.5)}, "training_set mask 3 holds 1.5 at row 2, column 5"),
    "NaN pixel": (
        {"training_set": changed((7, 0, 1, 4), np.nan)},
        "training_set image 7 holds nan at row 1, column 4: pixels must be finite",
    ),
    "empty set": ({"training_set": PAIRS[:0]}, "training_set has shape (0, 2, 16, 24): it is empty"),
    "no labelled pixel": (
        {"training_set": changed((slice(None), 1), 0), **MARS_KEYS},
        "no mask holds a labelled pixel: all pixels are 0",
    ),
    "one label": (
        {"training_set": changed((slice(None), 1), 0)},
        "bad.npz: all pixels of the masks have the label 0: there must be at least two classes",
    ),
    "codes as labels": (
        {"training_set": changed((3, 1, 2, 5), 250)},
        "bad.npz: its masks hold 6 of the labels 0 to 250 (0, 1, 2, 3, 4, 250) and it has no class_names",
    ),
    "too few images": ({"training_set": PAIRS[:9]}, "9 images are too few to split 80/10/10: at least 10 are needed"),
}


def assert_refused(done, message, folder, left=()):
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert done.stderr.strip().count("\n") == 0 or done.stderr.startswith("usage:")
    assert "Traceback" not in done.stdout + done.stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted(left)


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(case, command, tmp_path):
    content, message = BAD_FILES[case]
    if isinstance(content, dict):
        buffer = io.BytesIO()
        np.savez(buffer, **content)
        content = buffer.getvalue()
    (tmp_path / "bad.npz").write_bytes(content)
    assert_refused(command("search/run.py", "--data", "bad.npz"), message, tmp_path, left=["bad.npz"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "gone.npz"], "error: gone.npz: no such file"),
        (["--data", "."], "error: .: holds no files; looked for folders images/ and masks/ of files with the"),
        (["--data", "nowhere://bucket/x.npz"], "error: nowhere://bucket/x.npz: cannot be reached"),
        (["--budget", "0"], "argument --budget: '0' is not a whole number of at least 1"),
        (["--sampler", "magic"], "argument --sampler: invalid choice: 'magic'"),
        (["--storage", "/proc/runs"], "error: --storage: cannot write to /proc"),
        (["--storage", "nowhere://runs"], "error: --storage: cannot write to nowhere://runs/"),
        (["--cpus-per-trial", "4096"], "error: a trial needs 4096 CPU but the cluster has"),
        (["--gpus-per-trial", "auto", "--workers-per-trial", "2"], "error: --gpus-per-trial auto lets trials share a"),
        (["--max-epochs", "2", "--grace-epochs", "3"], "error: --grace-epochs 3 is greater than --max-epochs 2"),
        (
            ["--systems", "a-ce,magic"],
            "error: --systems: unknown system 'magic': must be one of all, report-a, ",
        ),
        (["--systems", "a-ce", "--budget", "3"], "error: --budget cannot be used with --systems"),
        (["--seeds", "3"], "error: --seeds can only be used with --systems"),
        (["--systems", "all", "--set", "model.width"], "argument --set: 'model.width' is not KEY=VALUE"),
        (["--train-fraction", "1.5"], "argument --train-fraction: '1.5' is not a number above 0 and at most 1"),
        (["--max-failures", "-1"], "argument --max-failures: '-1'"),
        (
            ["--metric", "dise"],
            "argument --metric: dise: unknown metric, must be one of mean_iou, dice, class_iou:",
        ),
        (["--metric", "class_iou:big rok"], "its classes are soil, bedrock, sand, big rock; did you mean 'big rock'?"),
        (["--score-classes", "soil,mud"], "error: --score-classes: the data has no class 'mud'"),
        (
            ["--score-classes", "soil", "--metric", "class_iou:sand"],
            "error: --score-classes cannot be combined with --metric class_iou:sand",
        ),
        (["--systems", "a-ce", "--metric", "dice"], "error: --metric cannot be used with --systems"),
        (["--audit", "2"], "argument --audit: '2' is not a number of at least 0 and at most 1"),
        (["--systems", "a-ce", "--audit", "0.5"], "error: --audit cannot be used with --systems"),
        (
            ["--systems", "a-ce", "--scheduler", "asha-stopping"],
            "error: --scheduler cannot be used with --systems",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(arguments, message, command, data_file, tmp_path):
    if "--data" not in arguments:
        arguments = ["--data", data_file, *arguments]
    assert_refused(command("search/run.py", *arguments), message, tmp_path)


def test_a_cache_that_cannot_be_written(command, data_file, tmp_path, monkeypatch):
    monkeypatch.setenv("MARS_SEARCH_CACHE", "/proc/cache")
    message = "error: /proc/cache: prepared data cannot be kept there"
    assert_refused(command("search/run.py", "--data", data_file), message, tmp_path)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("RAY_TMPDIR", "error: RAY_TMPDIR=/proc/none: Ray cannot write its files there"),
        ("TMPDIR", "error: TMPDIR=/proc/none: Ray cannot write its files there"),
        ("RAY_ADDRESS", "error: RAY_ADDRESS=/proc/none: must be auto, the host:port of a head"),
    ],
)
def test_a_variable_that_ray_cannot_use(variable, message, command, data_file, tmp_path, monkeypatch):
    for other in ("RAY_TMPDIR", "TMPDIR", "RAY_ADDRESS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, "/proc/none")
    assert_refused(command("search/run.py", "--data", data_file), message, tmp_path)


def test_a_home_folder_that_cannot_be_written_is_enough(command, data_file, tmp_path, monkeypatch):
    """As for a container's user without an entry in the user database, once the cache is elsewhere."""
    for variable in ("HOME", "MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, "/proc/none")
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(variable, raising=False)
    done = command("search/run.py", "--data", data_file, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "concurrent trials" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_class_that_no_mask_holds_is_a_warning(command, tmp_path):
    pairs = PAIRS.copy()
    pairs[:, 1][pairs[:, 1] == 4] = 3
    np.savez(tmp_path / "four.npz", training_set=pairs, **MARS_KEYS)
    done = command("search/run.py", "--data", "four.npz", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "warning: no mask holds class 4 (big rock): it is left out of the mean IoU" in done.stdout
    assert "search space" in done.stdout
    assert "concurrent trials" in done.stdout
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["four.npz"]
