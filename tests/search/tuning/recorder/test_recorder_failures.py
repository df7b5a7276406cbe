"""Which trials that broke go on, and which failures end the run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ray import cloudpickle
from ray.exceptions import RayActorError

from search.ledger.records import Failure
from tests.made.recording import Driver

TEXTS = {
    "error": "RuntimeError: a bug",
    "process_lost": "The actor died unexpectedly before finishing this task.",
    "out_of_memory": "trainables.errors.OutOfMemory: in 1 micro-batches",
    "memory_pressure": "1 worker(s) were killed due to the node running low on memory.",
    "node_lost": "The actor died because its node has died.",
    "node_unfit": "ray::run()\ntrainables.errors.NodeMismatchError: b (10.0.0.2): --data: no such file\nmore of Ray's",
    "not_started": "The actor never ran - it was cancelled",
    "storage": "trainables.errors.StorageError: s3://x: gone",
}
STARTS_NONE = "Ray no longer starts trials; once its cluster is back: the same command continues the study"


@pytest.fixture
def make(tmp_path):
    def driver(**options):
        return Driver(tmp_path, **options)

    return driver


def breaks(driver, number, kind, times=1):
    """Start the trial and break it, so many times."""
    for _ in range(times):
        driver.start(number)
        driver.error(number, TEXTS[kind])


def test_a_trial_that_breaks_is_heard_of_after_the_ledger_has_its_failure(make):
    driver = make(callbacks=2)
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1)
    driver.epoch(number, 2)
    driver.heard.clear()
    driver.error(number, "  Traceback ...\nRuntimeError: a bug \n")
    assert driver.heard == [
        ("add_segment", 0),
        ("add_failure", 0),
        ("searcher", "requeue", 0),
        ("callback 0", "attempt failed", 0, "running", (2, 1, 1)),
        ("callback 1", "attempt failed", 0, "running", (2, 1, 1)),
    ]
    expected = Failure(kind="error", epoch=2, message="Traceback ...\nRuntimeError: a bug")
    assert driver.callbacks[0].records[-1].failures == (expected,)
    assert (driver.stopping.reason, driver.stopping.exit_code) == (None, 0)


def test_a_trial_that_breaks_for_good_ends_after_its_failure_and_segment(make):
    driver = make(max_failures=0, callbacks=2)
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1)
    driver.heard.clear()
    driver.error(number)
    assert driver.heard == [
        ("add_segment", 0),
        ("add_failure", 0),
        ("fail", 0),
        ("searcher", "ended", 0),
        ("callback 0", "ended", 0, "failed", (1, 1, 1)),
        ("callback 1", "ended", 0, "failed", (1, 1, 1)),
    ]
    assert driver.callbacks[0].records[-1].error == "RuntimeError: a bug"
    assert driver.stopping.reason is None


@pytest.mark.parametrize(("ended", "state"), [("max_epochs", "complete"), ("diverged", "failed")])
def test_a_process_that_is_lost_after_its_last_report_has_ended_its_trial(ended, state, make):
    """Started again it would have nothing to report, and Tune would wait for it."""
    driver = make(max_failures=0, callbacks=1)
    number = driver.begin()
    driver.start(number)
    driver.epoch(number, 1, ended=ended)
    driver.heard.clear()
    driver.error(number, TEXTS["process_lost"])
    record = driver.ledger.record(number)
    assert (record.state, record.failures, len(record.segments)) == (state, (), 1)
    assert driver.heard[-2:] == [("searcher", "ended", 0), ("callback 0", "ended", 0, state, (1, 0, 1))]


def test_a_process_that_was_killed_because_it_hung_counts_as_that(make):
    """Ray says only that its actor died."""
    hangs = SimpleNamespace(
        failure=lambda number, epoch: Failure(kind="hung", epoch=epoch, message="nothing for 2 min") if epoch else None
    )
    driver = make(max_failures=1, hangs=hangs)
    number = driver.begin()
    breaks(driver, number, "process_lost")
    driver.start(number)
    driver.epoch(number, 1)
    driver.error(number, TEXTS["process_lost"])
    record = driver.ledger.record(number)
    assert [failure.kind for failure in record.failures] == ["process_lost", "hung"]
    assert (record.state, record.error) == ("failed", "nothing for 2 min")


@pytest.mark.parametrize("kind", ["error", "process_lost"])
@pytest.mark.parametrize("max_failures", [0, 1, 2])
def test_a_trial_goes_on_as_often_as_it_may_and_not_once_more(max_failures, kind, make):
    driver = make(max_failures=max_failures)
    number = driver.begin()
    breaks(driver, number, kind, max_failures)
    assert driver.state(number) == "running"
    breaks(driver, number, kind)
    record = driver.ledger.record(number)
    assert (record.state, record.error, len(record.failures)) == ("failed", TEXTS[kind], max_failures + 1)


@pytest.mark.parametrize("kind", ["out_of_memory", "node_lost", "node_unfit", "not_started", "storage"])
def test_what_no_configuration_is_to_blame_for_does_not_count(kind, make):
    driver = make(max_failures=1)
    number = driver.begin(batch_size=64)
    breaks(driver, number, kind, 5)
    breaks(driver, number, "error")
    assert driver.state(number) == "running"
    assert driver.ledger.record(number).failures[0].kind == kind
    breaks(driver, number, "process_lost")
    assert driver.state(number) == "failed"


def test_each_trial_has_its_own_count(make):
    driver = make(max_failures=1)
    for _ in range(2):
        breaks(driver, driver.begin(), "error")
    assert [driver.state(number) for number in range(2)] == ["running"] * 2


@pytest.mark.parametrize("kind", ["out_of_memory", "node_lost"])
def test_under_a_lower_limit_it_is_the_next_counted_failure_that_ends_a_trial(kind, make):
    """It broke twice in an earlier run, which allowed that."""
    driver = make(max_failures=0)
    number = driver.begin()
    for _ in range(2):
        driver.ledger.add_failure(number, Failure(kind="error", epoch=0, message="a bug"))
    breaks(driver, number, kind)
    assert driver.state(number) == "running"
    breaks(driver, number, "error")
    assert driver.state(number) == "failed"


@pytest.mark.parametrize(("batch_size", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (8, 3), (16, 4)])
def test_out_of_memory_halves_the_batch_down_to_single_images(batch_size, most, make):
    """The n-th time its micro-batches become 2**n: as long as those are no more than the images, it goes on."""
    driver = make(max_failures=0)
    number = driver.begin(batch_size)
    breaks(driver, number, "out_of_memory", most)
    breaks(driver, number, "node_lost")  # does not count as one of them
    assert driver.state(number) == "running"
    breaks(driver, number, "out_of_memory")
    record = driver.ledger.record(number)
    expected = "out of memory even with micro-batches of one image\n" + TEXTS["out_of_memory"]
    assert (record.state, record.error) == ("failed", expected)


def test_other_failures_count_apart_from_those_of_memory(make):
    driver = make(max_failures=1)
    number = driver.begin(batch_size=4)
    for kind in ("out_of_memory", "error", "out_of_memory"):
        breaks(driver, number, kind)
    assert driver.state(number) == "running"
    breaks(driver, number, "error")
    assert driver.ledger.record(number).error == TEXTS["error"]


def test_storage_that_is_gone_ends_the_run_and_fails_no_trial(make):
    driver = make(max_failures=0)
    number = driver.begin()
    breaks(driver, number, "storage")
    assert driver.stopping.reason == (
        "a checkpoint could not be written or read; once that is fixed: the same command continues the study"
    )
    assert driver.stopping.exit_code == 1
    assert driver.state(number) == "running"
    assert [entry[:2] for entry in driver.heard[-2:]] == [("searcher", "requeue"), ("callback 0", "attempt failed")]


def test_a_machine_that_lacks_something_ends_the_run_and_says_what(make):
    driver = make(max_failures=0)
    number = driver.begin()
    breaks(driver, number, "node_unfit")
    assert driver.stopping.reason == (
        "b (10.0.0.2): --data: no such file; once that is fixed, or the node is removed"
        ": the same command continues the study"
    )
    assert driver.stopping.exit_code == 1
    assert driver.state(number) == "running"


@pytest.mark.parametrize("same", [True, False])
def test_three_trials_in_a_row_that_do_not_start_end_the_run(same, make):
    driver = make(max_failures=0)
    numbers = [driver.begin() for _ in range(3)]
    for number in [numbers[0]] * 2 if same else numbers[:2]:
        driver.error(number, TEXTS["not_started"])
        assert driver.stopping.reason is None
    driver.error(numbers[2], TEXTS["not_started"])
    assert (driver.stopping.reason, driver.stopping.exit_code) == (STARTS_NONE, 1)
    assert {driver.state(number) for number in numbers} == {"running"}


@pytest.mark.parametrize("between", ["result", "error", "node_lost", "out_of_memory"])
def test_a_report_or_another_failure_shows_that_ray_still_starts_trials(between, make):
    driver = make()
    number, other = driver.begin(), driver.begin()
    driver.start(other)
    for _ in range(2):
        driver.error(number, TEXTS["not_started"])
    if between == "result":
        driver.epoch(other, 1)
    else:
        driver.error(other, TEXTS[between])
    for _ in range(2):
        driver.error(number, TEXTS["not_started"])
    assert driver.stopping.reason is None
    driver.error(number, TEXTS["not_started"])
    assert driver.stopping.reason == STARTS_NONE


def test_a_start_alone_does_not(make):
    """A worker group times out after Tune has called its trial started."""
    driver = make()
    breaks(driver, driver.begin(), "not_started", 3)
    assert driver.stopping.reason == STARTS_NONE


FULL = (
    "trials do not get enough memory (Ray killed its process because the machine's memory was full); once other "
    "programs use less memory, or with a lower --max-concurrent: the same command continues the study"
)


def test_three_processes_in_a_row_that_find_no_memory_end_the_run_and_charge_no_trial(make):
    driver = make(max_failures=0)
    numbers = [driver.begin() for _ in range(3)]
    for number in numbers[:2]:
        breaks(driver, number, "memory_pressure")
    assert driver.stopping.reason is None
    breaks(driver, numbers[2], "memory_pressure")
    assert (driver.stopping.reason, driver.stopping.exit_code) == (FULL, 1)
    assert [driver.state(number) for number in numbers] == ["running"] * 3


@pytest.mark.parametrize("between", ["epoch", "node_lost", "error"])
def test_they_are_in_a_row_only_without_an_epoch_or_another_failure_between(between, make):
    driver = make()
    number, other = driver.begin(), driver.begin()
    breaks(driver, number, "memory_pressure", 2)
    if between == "epoch":
        driver.start(other)
        driver.epoch(other, 1)
    else:
        breaks(driver, other, between)
    breaks(driver, number, "memory_pressure", 2)
    assert driver.stopping.reason is None
    breaks(driver, number, "memory_pressure")
    assert driver.stopping.reason == FULL


def test_a_trial_that_finds_no_memory_where_others_do_fails_at_the_sixth_time(make):
    driver = make()
    number, other = driver.begin(), driver.begin()
    driver.start(other)
    for time in range(1, 7):
        assert driver.state(number) == "running"
        breaks(driver, number, "memory_pressure")
        driver.epoch(other, time)
    record = driver.ledger.record(number)
    assert record.state == "failed"
    assert record.error == "Ray killed its process because the machine's memory was full"
    assert driver.stopping.reason is None


class Other(Exception):
    preempted = True


def pickled(folder, error):
    path = folder / "error.pkl"
    path.write_bytes(cloudpickle.dumps(error))
    return str(path)


def test_only_the_pickled_error_says_that_a_process_died_with_a_drained_node(make, tmp_path):
    driver = make(max_failures=0)
    number = driver.begin()
    path = pickled(tmp_path, RayActorError(preempted=True))
    driver.error(number, TEXTS["process_lost"], pickled_error_file=path)
    expected = Failure(
        kind="node_lost",
        epoch=0,
        message=f"{TEXTS['process_lost']}\nIts node was drained and went away while the trial was running.",
    )
    assert driver.ledger.record(number).failures == (expected,)
    assert driver.state(number) == "running"


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: None,
        lambda folder: str(folder / "missing.pkl"),
        lambda folder: pickled(folder, RayActorError(preempted=False)),
        lambda folder: pickled(folder, Other()),
        lambda folder: (folder / "garbage").write_bytes(b"no pickle") and str(folder / "garbage"),
    ],
    ids=["none", "missing", "not preempted", "another error", "unreadable"],
)
def test_without_such_an_error_the_process_was_lost(write, make, tmp_path):
    driver = make()
    number = driver.begin()
    driver.error(number, TEXTS["process_lost"], pickled_error_file=write(tmp_path))
    assert driver.ledger.record(number).failures[0].kind == "process_lost"


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_the_pickled_error_is_never_unpickled(make, tmp_path):
    """The folder in which Tune keeps it may be open to others."""
    driver = make()
    number = driver.begin()
    error = RayActorError(preempted=True)
    error.payload = Payload(tmp_path / "run")
    driver.error(number, TEXTS["process_lost"], pickled_error_file=pickled(tmp_path, error))
    assert driver.ledger.record(number).failures[0].kind == "node_lost"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [None, "missing.txt"])
def test_a_process_may_end_without_a_message(name, make, tmp_path):
    driver = make(max_failures=0)
    number = driver.begin()
    driver.error(number, error_file=name and str(tmp_path / name))
    record = driver.ledger.record(number)
    assert record.error == "the trial's process ended without a message"
    assert record.failures[0].kind == "error"
