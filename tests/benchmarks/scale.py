"""The capacity of the driver: a simulated study of 10,000 trials, 1,000 at a time, with its ledger on disk.

Trials take no time, so that searcher, scheduler, recorder and ledger are measured, as a real search runs them. The
baseline of the ledger is Optuna's own journal backend with the same entries.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.ledger.ledger import FILE, Ledger
from search.ledger.records import Proposal, TrialRecord
from search.sampling.proposer import Proposer
from search.scheduling.asha_promotion import AshaPromotion
from search.simulation.simulator import Simulation, simulate
from search.simulation.surrogate import simulated_reports
from search.storage.postgres_connection import with_driver
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from search.tuning.callbacks import Callback
from tests.made.studies import study_settings
from tests.processes.postgres import PASSWORD, PostgresServer, binaries
from trainables.messages import EpochReport

EPOCHS = 12
RECORDED = 500


class Counting(Callback):
    results = 0

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        self.results += 1


def world(record: TrialRecord) -> list[EpochReport]:
    top = 0.4 + record.params["model.width"] / 50 - 0.3 * record.params["model.dropout"]
    scores = [top * (1 - 0.7**epoch) for epoch in range(1, EPOCHS + 1)]
    seconds = 1.0 + record.number % 7 / 10
    return simulated_reports(((score, seconds) for score in scores), max_epochs=EPOCHS, patience=EPOCHS)


def journal(folder: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(folder / "baseline")))


def recorded(ledger: Ledger) -> float:
    """Return the number of results per second that a ledger records."""
    proposal = Proposer(ledger, unet_space(PROFILES["cpu"]), study_settings(), sampler="random").propose(0)
    assert proposal is not None
    number = ledger.begin(proposal).number
    reports = simulated_reports([(0.5, 1.0)] * RECORDED, max_epochs=RECORDED, patience=10**6)
    started = time.perf_counter()
    for report in reports:
        ledger.add_epoch(number, report)
    return RECORDED / (time.perf_counter() - started)


def recorded_in_postgres(folder: Path) -> dict[str, str]:
    """Return the rows of the table about a database on this machine that waits for the disk."""
    if binaries() is None:
        return {"  in PostgreSQL": "not installed"}
    server = PostgresServer(durable=True)
    try:
        os.environ["PGPASSWORD"] = PASSWORD
        storage = optuna.storages.get_storage(with_driver(server.new_database()))
        theirs = recorded(Ledger(storage, optuna.create_study(storage=storage, direction="maximize").study_name))
        ledger = Ledger.create(folder, server.new_database())
        ours = recorded(ledger)
        ledger.close()
    finally:
        server.remove()
    return {
        "  in PostgreSQL": f"{ours:.0f}",
        "  Optuna's own storage there": f"{theirs:.0f} ({ours / theirs:.1f} times)",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=1_000)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings, space = study_settings(max_epochs=EPOCHS, scheduler="asha-promotion"), unet_space(PROFILES["cpu"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "study"
        ledger, counting = Ledger.create(folder), Counting()
        simulation = Simulation(
            settings=settings, space=space, sampler="random", trials=options.trials, slots=options.slots
        )
        started = time.perf_counter()
        with proposals_timed() as proposing:
            simulate(simulation, world, ledger, [counting])
        seconds = time.perf_counter() - started
        storage = journal(Path(scratch))
        theirs = recorded(Ledger(storage, optuna.create_study(storage=storage, direction="maximize").study_name))
        ours = recorded(Ledger.create(Path(scratch) / "ours"))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        started = time.perf_counter()
        again = Ledger.create(folder)
        AshaPromotion(again, settings)
        proposer = Proposer(again, space, settings, sampler="forest")
        resumed = time.perf_counter() - started
        tpe = Proposer(again, space, settings, sampler="tpe")
        print(f"{options.trials} simulated trials, {options.slots} at a time, {counting.results} results")
        rows = {
            "trials per second, random proposals": f"{options.trials / seconds:.0f}",
            "results per second, proposals and ends included": f"{counting.results / seconds:.0f}",
            "results per second, proposals left out": f"{counting.results / (seconds - sum(proposing)):.0f}",
            "results per second, ledger alone": f"{ours:.0f}",
            "  Optuna's own journal": f"{theirs:.0f} ({ours / theirs:.1f} times)",
            **recorded_in_postgres(Path(scratch) / "database"),
            "peak memory, MiB": f"{memory:.0f}",
            "ledger on disk, MiB": f"{(folder / FILE).stat().st_size / 2**20:.1f}",
            "resume, seconds": f"{resumed:.1f}",
            "a proposal of the forest, ms": f"{1000 * suggestion(proposer, again):.1f}",
            "a proposal of TPE, ms": f"{1000 * suggestion(tpe, again):.1f}",
        }
        for name, value in rows.items():
            print(f"{name:<48}{value:>22}")


@contextmanager
def proposals_timed() -> Iterator[list[float]]:
    """Measure the seconds of each proposal that is made in this context."""
    times: list[float] = []
    propose = Proposer.propose

    def timed(*arguments: Any, **named: Any) -> Proposal | None:
        started = time.perf_counter()
        try:
            return propose(*arguments, **named)
        finally:
            times.append(time.perf_counter() - started)

    Proposer.propose = timed  # type: ignore[method-assign]
    try:
        yield times
    finally:
        Proposer.propose = propose  # type: ignore[method-assign]


def suggestion(proposer: Proposer, ledger: Ledger) -> float:
    """Return the median seconds of a proposal after all trials so far; the first one also reads their results."""
    times, trials = [], len(ledger.frozen_trials())
    for number in range(trials, trials + 20):
        started = time.perf_counter()
        proposal = proposer.propose(number)
        times.append(time.perf_counter() - started)
        assert proposal is not None
        ledger.begin(proposal)
    return statistics.median(times)


if __name__ == "__main__":
    main()
