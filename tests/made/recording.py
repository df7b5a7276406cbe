"""A recorder and its surroundings, for tests: the ledger is real, all other parts log their calls."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from search.ledger.ledger import Ledger
from search.ledger.records import Proposal, TrialRecord
from search.tuning.callbacks import Callback
from search.tuning.meter import Meter
from search.tuning.recorder import Recorder
from search.tuning.run_end import Stopping
from tests.made.studies import epoch_report

WRITES = ("begin_segment", "add_epoch", "add_failure", "add_segment", "mark_audited", "finish", "prune", "fail")


class NotingLedger(Ledger):
    """Logs each write of a recorder. Once `full` is set, every write raises it."""

    heard: list[tuple[Any, ...]]
    full: OSError | None = None

    def _write(self, name: str, number: int, *values: Any) -> Any:
        if self.full is not None:
            raise self.full
        self.heard.append((name, number))
        return getattr(Ledger, name)(self, number, *values)


def _writing(name: str) -> Any:
    return lambda ledger, *values: ledger._write(name, *values)


for _name in WRITES:
    setattr(NotingLedger, _name, _writing(_name))


class NotingCallback(Callback):
    """Logs each call with the state of the trial in the ledger and its numbers of epochs, failures and segments."""

    def __init__(self, name: str, driver: Driver):
        self.name, self.driver = name, driver
        self.records: list[TrialRecord] = []
        """Records of all calls, in order."""

    def _note(self, what: str, record: TrialRecord, *values: Any) -> None:
        known = self.driver.ledger.record(record.number)
        counts = (len(known.reports), len(known.failures), len(known.segments))
        self.driver.heard.append((self.name, what, record.number, *values, known.state, counts))
        self.records.append(record)

    def trial_started(self, record: TrialRecord) -> None:
        self._note("started", record)

    def epoch_ended(self, record: TrialRecord, report: Any) -> None:
        self._note("epoch", record, report.epoch)

    def attempt_failed(self, record: TrialRecord) -> None:
        self._note("attempt failed", record)

    def trial_paused(self, record: TrialRecord) -> None:
        self._note("paused", record)

    def trial_ended(self, record: TrialRecord) -> None:
        self._note("ended", record)


class Driver:
    """Calls the recorder's hooks as Tune does. An epoch takes 1.1 s. `heard` lists what the recorder did, in order."""

    def __init__(self, folder: Path, *, max_failures: int = 2, callbacks: int = 1, hangs: Any = None):
        self.folder = folder
        self.heard: list[tuple[Any, ...]] = []
        self.now = 100.0
        self.ledger = NotingLedger.in_memory()
        self.ledger.heard = self.heard
        self.pop_evicted: list[int] = []
        self.scheduler: Any = SimpleNamespace(
            stopped=set(),
            paused=set(),
            audited={},
            overdue=[],
            waiting=[],
            pop_evicted=lambda: self.pop_evicted,
            on_trial_result=lambda controller, trial, result: None,
        )
        searcher: Any = SimpleNamespace(
            **{name: self._searcher(name) for name in ("ended", "requeue")},
        )
        self.stopping = Stopping()
        self.callbacks = [NotingCallback(f"callback {index}", self) for index in range(callbacks)]
        self.recorder = Recorder(
            self.ledger,
            searcher,
            self.scheduler,
            self.stopping,
            Meter({"CPU": 2, "GPU": 1}, clock=lambda: self.now),
            list(self.callbacks),
            max_failures=max_failures,
            hangs=hangs,
        )

    def _searcher(self, name: str) -> Any:
        return lambda number: self.heard.append(("searcher", name, number))

    def begin(self, batch_size: int = 8) -> int:
        """Begin a trial in the ledger; returns its number."""
        config = {"training.batch_size": batch_size}
        return self.ledger.begin(Proposal(params={}, distributions={}, config=config)).number

    def trial(self, number: int, **changes: Any) -> Any:
        """Return a trial of Tune's, as callbacks see it."""
        values = {
            "trial_id": f"tune{number}",
            "config": {"number": number},
            "last_result": {},
            "error_file": None,
            "pickled_error_file": None,
        }
        return SimpleNamespace(**values | changes)

    def start(self, number: int) -> None:
        self.recorder.on_trial_start(iteration=1, trials=[], trial=self.trial(number))

    def epoch(self, number: int, epoch: int, score: float | None = 0.5, **changes: Any) -> None:
        result = epoch_report(epoch, score, **changes).to_dict() | {"trial_id": "Tune's own", "done": False}
        self.recorder.on_trial_result(iteration=1, trials=[], trial=self.trial(number), result=result)

    def complete(self, number: int, last_result: dict[str, Any] | None = None) -> None:
        trial = self.trial(number, last_result=last_result or {})
        self.recorder.on_trial_complete(iteration=1, trials=[], trial=trial)

    def error(self, number: int, text: str = "RuntimeError: a bug", **changes: Any) -> None:
        path = self.folder / f"error-{number}.txt"
        path.write_text(f"{text}\n")
        trial = self.trial(number, **{"error_file": str(path)} | changes)
        self.recorder.on_trial_error(iteration=1, trials=[], trial=trial)

    def state(self, number: int) -> str:
        return self.ledger.record(number).state
