"""Lets faults happen to a search at random, over and over, and compares its ledger with that of an undisturbed one.

A study of quick trials runs on a Ray cluster of three nodes on this machine, its folder on a small disk. At random
moments the driver, a trial's process, a raylet or the control server is killed, a trial's process is stopped (SIGSTOP),
a node or the head with everything on it goes away, or the disk is full. Each time the same command resumes the study.
With one slot the ledger must equal that of an undisturbed run, trial by trial (configuration, state, reported epochs);
with several it must hold the same number of trials, and no trial may lack an epoch or have one twice.

    python -m tests.integration.chaos --faults 50 --trials 40 [--slots 1 3] [--seed 0]

Runs with different seeds add up: each prints how often each fault happened.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

from search.ledger.ledger import Ledger
from search.ledger.records import TrialRecord
from tests.integration.faults import Machine, small_disk
from tests.processes.loops import QUICK_EPOCHS

PATIENCE_SECONDS = 900
"""A run that takes longer than this after the last fault hangs."""
FAULTS = {
    "driver killed": 4,
    "trial killed": 4,
    "trial stopped": 2,
    "raylet killed": 2,
    "node removed": 2,
    "control server killed": 1,
    "head removed": 1,
    "disk full": 2,
}
"""How often each happens in proportion."""


def disturbed(folder: Path, trials: int, slots: int, faults: int, seed: int) -> Counter[str]:
    """Run a study to its end while faults happen; returns how often each did."""
    random_, happened = random.Random(seed), Counter[str]()
    machine = Machine(folder, trials, slots)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        machine.start_driver()
        while True:
            assert machine.driver is not None
            more = happened.total() < faults
            try:
                code = machine.driver.wait(timeout=random_.uniform(0.2, 4.0) if more else deadline - time.monotonic())
            except subprocess.TimeoutExpired:
                assert more, f"the search hangs, see {machine.logs}"
                fault = random_.choices(list(FAULTS), list(FAULTS.values()))[0]
                if machine.happen(fault, random_):
                    happened[fault] += 1
                    deadline = time.monotonic() + PATIENCE_SECONDS
                    print(f"{happened.total():>3}: {fault}", flush=True)
                code = machine.driver.poll()
            if code == 0:
                return happened
            if code is not None:
                machine.start_driver()
    finally:
        machine.close()


def undisturbed(folder: Path, trials: int) -> list[TrialRecord]:
    """The records of a run with one slot that nobody touches."""
    disturbed(folder, trials, slots=1, faults=0, seed=0)
    return Ledger.open(folder).records()


def told(record: TrialRecord) -> tuple[object, ...]:
    epochs = [(report.epoch, report.mean_iou) for report in record.reports]
    return record.number, record.state, record.config, epochs


def check_equal(records: list[TrialRecord], expected: list[TrialRecord]) -> None:
    """Trial by trial: configuration, state, epochs told."""
    for record, other in zip(records, expected, strict=True):
        assert told(record) == told(other), f"trial {record.number}: {told(record)} is not {told(other)}"


def check_invariants(folder: Path, trials: int) -> None:
    """What holds for every ledger of a finished study."""
    records = Ledger.open(folder).records()
    assert len(records) == trials, f"{len(records)} trials instead of {trials}"
    assert len({json.dumps(record.config, sort_keys=True) for record in records}) == trials, (
        "a configuration came twice"
    )
    for record in records:
        unknown = [failure.message for failure in record.failures if failure.kind == "error"]
        assert not unknown, f"trial {record.number} broke by itself: {unknown}"
        assert record.state in ("complete", "pruned"), (record.number, record.state, record.error)
        epochs = [report.epoch for report in record.reports]
        assert epochs == list(range(1, len(epochs) + 1)), (record.number, epochs)
        assert (len(epochs) == QUICK_EPOCHS) == (record.state == "complete"), (record.number, record.state, epochs)
    kept = [path.parent.name for path in folder.glob("checkpoints/*/*.pt")]
    assert not kept, f"checkpoints of ended trials stayed: {kept}"  # these trials save no best.pt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with small_disk() as scratch:
        expected = undisturbed(scratch / "undisturbed", options.trials)
        for slots in options.slots:
            folder = scratch / f"slots-{slots}"
            started = time.monotonic()
            happened = disturbed(folder, options.trials, slots, options.faults, options.seed)
            check_invariants(folder, options.trials)
            if slots == 1:
                check_equal(Ledger.open(folder).records(), expected)
            failures = Counter(failure.kind for record in Ledger.open(folder).records() for failure in record.failures)
            verdict = "equals the undisturbed run" if slots == 1 else "every trial is whole"
            print(
                f"{slots} slots: {options.trials} trials in {time.monotonic() - started:.0f} s, {dict(happened)}, "
                f"failures in the ledger {dict(failures)}: {verdict}",
                flush=True,
            )


if __name__ == "__main__":
    from tests.integration import chaos  # under a name by which trial processes find it, too

    chaos.main()
