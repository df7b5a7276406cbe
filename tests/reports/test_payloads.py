"""Nothing that lies in a study's folder is ever unpickled, imported or run, whatever reads the study."""

from __future__ import annotations

import json
import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from ray import cloudpickle

from reports.command import run as report
from reports.options import parser as report_parser
from search.cli.local_studies import run_study_command
from search.cli.options.search_parser import parse
from search.cli.planning import find_study
from search.ledger.ledger import FILE, Ledger
from search.locking.folder_lock import study_lock
from search.sampling.warm_start import starting_points
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from search.views.events import EventReader
from search.views.safe_console import Terminal
from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.errors import StorageError
from trainables.training.checkpoint_store import checkpoint_store
from trainables.training.resumable_training import epochs


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture
def alarm(tmp_path):
    """What every payload makes."""
    return tmp_path / "alarm"


def payloads(folder, alarm):
    """Files with a payload of each kind, by how they are made."""
    array = np.empty(1, dtype=object)
    array[0] = Payload(alarm)
    code = f"import pathlib; pathlib.Path({str(alarm)!r}).touch()\n"
    state = {"trial_data": [], "runner_data": {"x": {"_type": "CLOUDPICKLE_FALLBACK"}}}
    state["runner_data"]["x"]["value"] = cloudpickle.dumps(Payload(alarm)).hex()
    return {
        "pickle": lambda path: path.write_bytes(pickle.dumps(Payload(alarm))),
        "cloudpickle": lambda path: path.write_bytes(cloudpickle.dumps(Payload(alarm))),
        "torch": lambda path: torch.save({"identity": Payload(alarm), "model": Payload(alarm)}, path),
        "old torch": lambda path: torch.save(Payload(alarm), path, _use_new_zipfile_serialization=False),
        "npy": lambda path: np.save(path.open("wb"), array, allow_pickle=True),
        "npz": lambda path: np.savez(path.open("wb"), training_set=array),
        "python": lambda path: path.write_text(code),
        "tune": lambda path: path.write_text(json.dumps(state)),
    }


PLANTED = (
    "sitecustomize.py",
    "__init__.py",
    "torch.py",
    "evil.pth",
    "study.pkl",
    "best.pt",
    "meta.json",
    ".tune/tune/tuner.pkl",
    ".tune/tune/experiment_state-2999-01-01_00-00-00.json",
    ".tune/tune/searcher-state-2999-01-01_00-00-00.pkl",
    ".tune/tune/0000/error.pkl",
    "checkpoints/last.pt",
    "checkpoints/0000/last.pt",
    "checkpoints/0000/best.pt",
    "checkpoints/0001/last.pt",
    "checkpoints/0001/best.pt",
    "checkpoints/0002/last.pt",
    "report/retrain/0000-5-epochs/last.pt",
    "report/leaderboard.parquet",
    "driver.json",
    "driver.lock",
)


def readers(study, data_file, space):
    def resume():
        ledger = Ledger.create(study)
        data = prepare(DataSource(uri=str(data_file)))
        for record in ledger.records():
            store = checkpoint_store(str(study / "checkpoints"), record.number)
            with suppress(ValueError, StorageError):
                config = TrialConfig.from_flat(record.config)
                train, val = data.split["train"], data.split["val"]
                next(epochs(config, data, train=train, validation=val, checkpoints=store, reported_epochs=1), None)

    def lock():
        with study_lock(study):
            pass

    def events():
        with EventReader(Terminal(quiet=True)) as reader:
            for path in study.iterdir():
                if path.is_file():
                    reader.read(path.read_text(errors="replace"))

    runs = ["--storage", str(study.parent), "--name", study.name, "--data", str(data_file)]
    return {
        "report": lambda: report(report_parser().parse_args([str(study), "--no-submission", "--no-onnx"])),
        "report with its final training": lambda: report(report_parser().parse_args([str(study), "--no-onnx"])),
        "--status": lambda: run_study_command(parse(["--storage", str(study.parent), "--status"])),
        "--status NAME": lambda: run_study_command(parse(["--storage", str(study.parent), "--status", study.name])),
        "--start-from": lambda: starting_points(str(study), space, study.parent / "new"),
        "planning": lambda: find_study(parse(runs), prepare(DataSource(uri=str(data_file)))),
        "resume": resume,
        "lock": lock,
        "events": events,
    }


KINDS = ("pickle", "cloudpickle", "torch", "old torch", "npy", "npz", "python", "tune")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whole", [True, False], ids=["beside a whole ledger", "in every file"])
@pytest.mark.filterwarnings("ignore")
def test_no_payload_runs(kind, whole, study, tiny_file, alarm, tmp_path, monkeypatch):
    plant = payloads(study, alarm)[kind]
    for name in PLANTED:
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        plant(study / name)
    if not whole:
        for path in study.rglob("*"):
            if path.is_file():
                plant(path)
    space = unet_space(PROFILES["cpu"])
    for name, read in readers(study, tiny_file, space).items():
        work = study.rename(study.parent / "work")  # each reads what the one before it may have changed
        shutil.copytree(work, study)
        monkeypatch.chdir(study)
        with suppress(ValueError, StorageError):
            read()
        assert not alarm.exists(), f"{name} ran a payload of kind {kind}"
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(study)
        work.rename(study)


def test_the_payloads_would_run(tmp_path, alarm):
    """Else the test above would hold whatever the readers do."""
    made = payloads(tmp_path, alarm)
    loads = {
        "pickle": lambda path: pickle.loads(path.read_bytes()),
        "cloudpickle": lambda path: cloudpickle.loads(path.read_bytes()),
        "torch": lambda path: torch.load(path, weights_only=False),
        "old torch": lambda path: torch.load(path, weights_only=False),
        "npy": lambda path: np.load(path, allow_pickle=True),
        "npz": lambda path: np.load(path, allow_pickle=True)["training_set"],
    }
    for kind, load in loads.items():
        path = tmp_path / "payload"
        made[kind](path)
        with suppress(Exception):
            load(path)
        assert alarm.exists(), kind
        alarm.unlink()


@pytest.mark.parametrize("name", ["report", "report/leaderboard.csv", "report/report.html", FILE])
def test_a_report_writes_behind_no_link(name, study, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    if (study / name).exists():
        (study / name).rename(precious)
    (study / name).parent.mkdir(exist_ok=True)
    (study / name).symlink_to(precious)
    before = precious.read_bytes()
    with pytest.raises(ValueError, match=f"{name}: is a symbolic link"):
        report(report_parser().parse_args([str(study), "--no-submission", "--no-onnx"]))
    assert precious.read_bytes() == before
