"""Every number about one study, compared with the counts of an observer that does not know the ledger.

The study has five runs: two are killed, one ends at its budget of epochs, one at its budget of GPU-hours, and the last
one at the end of the study. They give their trials different shares of a GPU, and another study takes a part of the
cluster for a time. Trials are paused, promoted, evicted, pruned, audited and retried; they fail and diverge.
"""

from __future__ import annotations

import io
import math
import statistics
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.samplers import GPSampler
from rich.console import Console

from search.ledger.costs import device_seconds
from search.ray_cluster.capacity import ClusterSize
from search.ray_cluster.fair_share import Claim, shares
from search.scheduling import asha_promotion
from search.scheduling.false_stops import Audit, audit
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from search.views import progress
from search.views.cost_table import receipt
from tests.made.studies import study_settings
from tests.search.tuning.watched_cluster import Cluster, Driver, Observer, Run, killed_after_a_report

GPUS, CPUS = 4, 16
TRIALS, AUDITED, PRICE = 150, 0.3, 2.5
SETTINGS = study_settings(
    scheduler="asha-promotion", rung_metric="last", max_epochs=12, grace_epochs=1, reduction_factor=3, patience=12
)
RUNGS = (1, 3, 9)
SIZE = ClusterSize(fixed=({"CPU": CPUS, "GPU": GPUS},), joined=True)


def claim(study: str, begun: int, gpus: float, cpus: float, wanted: int = 100) -> Claim:
    return Claim(begun=begun, wanted=wanted, processes=1, cpus=cpus, gpus=gpus, study=study)


@dataclass
class Seen:
    """What the drivers said while the study ran, beside what the observer counted at the same time."""

    observer: Observer
    cluster: Cluster
    drivers: list[Driver] = field(default_factory=list)
    best_at_start: list[tuple[Any, Any]] = field(default_factory=list)
    best_later: list[tuple[Any, Any]] = field(default_factory=list)
    paused_best: bool = False
    held: list[tuple[float, float]] = field(default_factory=list)
    """GPUs that the processes held after each event, and the most that the study's share allowed in that run."""
    gpu_hours: list[float] = field(default_factory=list)
    """After each report of the run with a budget of GPU-hours, those that the observer counts."""
    left: list[tuple[float, float]] = field(default_factory=list)
    """After each event of the last run, the time and the estimate of the seconds left."""
    by_model: int = 0
    proposals: int = 0

    def begin(self, folder: Any, run: Run) -> Driver:
        driver = Driver(folder, run, self.cluster, unet_space(PROFILES["cpu"]))
        driver.progress.started = self.cluster.now
        self.drivers.append(driver)
        if self.observer.reports:
            self.best_at_start.append((driver.progress.best_score, self.observer.best()[1]))
        return driver

    def watch(self, driver: Driver) -> None:
        running = [process for process in self.observer.processes if process.ended is None and not process.killed]
        self.held.append((sum(process.gpus for process in running), driver.run.slots() * driver.run.gpus))
        state = driver.progress
        assert state.best is not None or not self.observer.reports
        if state.best is not None:
            self.best_later.append(((state.best.number, state.best_score), self.observer.best()))


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield study(tmp_path_factory.mktemp("counts"), patch)


def study(folder: Any, patch: pytest.MonkeyPatch) -> Seen:
    observer = Observer()
    cluster = Cluster(SETTINGS, observer, seed=12)
    seen = Seen(observer, cluster)
    patch.setattr(progress, "time", SimpleNamespace(monotonic=cluster.clock))
    patch.setattr(asha_promotion, "MAX_PAUSED_PER_RUNG", 2)  # so that few trials suffice for evictions
    draw = GPSampler.sample_relative

    def counted(self, study, trial, search_space):
        drawn = draw(self, study, trial, search_space)
        seen.proposals, seen.by_model = seen.proposals + 1, seen.by_model + bool(drawn)
        return drawn

    patch.setattr(GPSampler, "sample_relative", counted)
    common = {"budget": TRIALS, "audit": AUDITED}

    def share(gpus: float, cpus: float, *others: Claim) -> int:
        own = claim("own", 1, gpus, cpus)
        return shares([own, *others], SIZE)[own]

    # Killed when its best trial is paused.
    first = seen.begin(folder, Run(cpus=4, gpus=1, slots=lambda: share(1, 4), sampler="gp", **common))
    with killed_after_a_report(first, lambda: len(first.ledger.frozen_trials()) > 19 and best_is_paused(first)):
        first.live(lambda: seen.watch(first))
    seen.paused_best = best_is_paused(first)

    # Another study runs beside it. Killed when a trial has saved an epoch that it has not reported yet.
    def beside() -> int:
        return share(0.5, 2, claim("other", 2, 2, 2))

    second = seen.begin(folder, Run(cpus=2, gpus=0.5, slots=beside, sampler="random", queues=True, **common))
    killed_at = len(observer.reports) + 60
    with killed_after_a_report(second, lambda: len(observer.reports) > killed_at and bool(second.handing_over)):
        second.live(lambda: seen.watch(second))

    epochs = len(observer.reports) + 40
    run = Run(cpus=2, gpus=0.25, slots=lambda: share(0.25, 2), sampler="random", epochs_budget=epochs, **common)
    third = seen.begin(folder, run)
    third.live(lambda: seen.watch(third))

    hours = observer.device_seconds(cluster.now, "gpus") / 3600 + 0.1
    fourth = seen.begin(
        folder, Run(cpus=4, gpus=1, slots=lambda: share(1, 4), sampler="random", gpu_hours=hours, **common)
    )
    reports = len(observer.reports)

    def count() -> None:
        nonlocal reports
        seen.watch(fourth)
        if len(observer.reports) > reports and (fourth.stopping.reason is None or not seen.gpu_hours[-1] >= hours):
            seen.gpu_hours.append(observer.device_seconds(cluster.now, "gpus") / 3600)
        reports = len(observer.reports)

    fourth.live(count)

    last = seen.begin(folder, Run(cpus=2, gpus=0.5, slots=lambda: share(0.5, 2), sampler="random", **common))

    def estimate() -> None:
        seen.watch(last)
        if (left := last.progress.seconds_left) is not None:
            seen.left.append((cluster.now, left))

    last.live(estimate)
    return seen


def best_is_paused(driver: Driver) -> bool:
    """Return whether the trial with the best score has reported its last epoch, and no process runs it."""
    number, _ = driver.observer.best()
    return driver.ledger.record(number).shown_state == "paused"


def records(seen: Seen) -> Any:
    return seen.drivers[-1].ledger.records()


def test_the_study_has_everything_that_is_hard_to_count(seen):
    found = records(seen)
    states = Counter(record.state for record in found)
    assert len(found) == TRIALS
    assert min(states[state] for state in ("complete", "pruned", "failed")) > 0
    assert any(record.failures and record.state == "complete" for record in found)  # retried
    assert any(record.state == "failed" and record.reports and record.reports[-1].diverged for record in found)
    assert any(record.audited for record in found)
    assert any(record.ends for record in found)  # evicted
    assert any(record.promoted for record in found)
    assert any(len({segment.gpus for segment in record.segments}) > 1 for record in found)
    assert any(segment.queue_seconds > 0 for record in found for segment in record.segments)
    assert sum(process.killed for process in seen.observer.processes) >= 4
    restored = [(record, report.epoch) for record in found for report in record.reports if report.restored]
    assert any(segment.killed for record, _ in restored for segment in record.segments)
    assert any(not any(segment.killed for segment in record.segments) for record, _ in restored)


@pytest.mark.parametrize(("device", "attribute"), [("GPU", "gpus"), ("CPU", "cpus")])
def test_device_hours_are_what_a_stopwatch_shows(device, attribute, seen):
    now = seen.cluster.now
    wrong = {
        record.number: (held, expected)
        for record in records(seen)
        if (held := device_seconds(record)[device])
        != pytest.approx(expected := seen.observer.device_seconds(now, attribute, record.number))
    }
    assert not wrong


def test_the_receipt_and_its_price_are_the_stopwatchs(seen):
    console = Console(file=io.StringIO(), width=100)
    console.print(receipt(records(seen), SETTINGS.max_epochs, PRICE))
    hours = seen.observer.device_seconds(seen.cluster.now, "gpus") / 3600
    assert f"{hours:.2f} GPU-hours" in console.file.getvalue()
    assert f"{hours * PRICE:.2f}" in console.file.getvalue()


def test_each_epoch_counts_once(seen):
    reported = Counter((number, report.epoch) for _, number, report in seen.observer.reports)
    assert set(reported.values()) == {1}
    assert sum(len(record.reports) for record in records(seen)) == len(reported)


def test_a_budget_of_epochs_is_exceeded_by_at_most_one_of_each_other_running_trial(seen):
    third = seen.drivers[2]
    assert third.stopping.reason.startswith(f"the budget of {third.run.epochs_budget} epochs is spent")
    trained = sum(at <= third.ended for at, _, _ in seen.observer.reports)
    assert third.run.epochs_budget <= trained < third.run.epochs_budget + third.run.slots()


def test_a_budget_of_gpu_hours_ends_the_run_at_the_first_report_beyond_it(seen):
    fourth = seen.drivers[3]
    assert "GPU-hours is spent" in fourth.stopping.reason
    *before, at_last = seen.gpu_hours
    assert max(before) < fourth.run.gpu_hours <= at_last


def test_the_study_holds_no_more_than_its_share_and_all_shares_fit_the_cluster(seen):
    assert all(held <= allowed for held, allowed in seen.held)
    own, other = claim("own", 1, 0.5, 2), claim("other", 2, 2, 2)
    given = shares([own, other], SIZE)
    assert sum(given[each] * each.gpus for each in given) <= GPUS
    assert given == {own: 4, other: 1}  # two GPUs each


def test_the_best_so_far_is_the_best_of_all_runs_also_if_it_is_paused(seen):
    assert seen.paused_best
    for told, expected in seen.best_at_start + seen.best_later:
        assert told == expected


def test_the_time_left_is_right_within_a_quarter(seen):
    """From a tenth of the last run on, until its middle; later, ever fewer trials run side by side."""
    begun, end = seen.left[0][0], seen.left[-1][0]
    span = [(now, left) for now, left in seen.left if 0.1 <= (now - begun) / (end - begun) <= 0.5]
    wrong = [(now, left, end - now) for now, left in span if not 0.75 <= left / (end - now) <= 1.25]
    assert not wrong


def test_gp_proposes_all_but_the_first_ten_trials_and_those_beside_them(seen):
    assert seen.proposals >= 18
    assert seen.by_model >= seen.proposals - 10 - GPUS


class ByHand:
    """ASHA with a pencil: what each rung holds, and who runs on although the rung does not let it.

    A trial also runs on if it is held back with the report with which a run ends, and starts again although it is still
    not among the best of its rung.
    """

    def __init__(self, observer: Observer):
        self.rungs: dict[int, list[tuple[float, int]]] = {epoch: [] for epoch in RUNGS}
        self.held_back: dict[int, list[int]] = {epoch: [] for epoch in RUNGS}
        self.audited: dict[int, int] = {}
        """By trial, the rung at which it ran on."""
        self.scores: dict[int, list[float]] = {}
        self.ends: dict[int, str] = {}
        unknown: dict[int, int] = {}
        starts: dict[int, list[int]] = {}
        for process in observer.processes:
            starts.setdefault(process.reports_before, []).append(process.trial)
        for index, (_, number, report) in enumerate(observer.reports):
            for started in starts.get(index, []):
                rung = unknown.pop(started, None)
                if rung is not None and not self.is_among_best(started, rung):
                    self.audited[started] = rung
            if report.ended is not None:
                self.ends[number] = report.ended
            if report.diverged:
                continue
            self.scores.setdefault(number, []).append(report.score)
            if report.epoch not in RUNGS or number in self.audited:
                continue
            self.rungs[report.epoch].append((report.score, -number))
            if report.ended is None and not self.is_among_best(number, report.epoch):
                self.held_back[report.epoch].append(number)
                if (stayed := observer.stayed.get((number, report.epoch))) is None:
                    unknown[number] = report.epoch
                elif stayed:
                    self.audited[number] = report.epoch

    def is_among_best(self, number: int, epoch: int) -> bool:
        rung = sorted(self.rungs[epoch], reverse=True)
        return number in [-other for _, other in rung[: len(rung) // SETTINGS.reduction_factor]]

    def audit(self) -> Audit:
        others = [max(self.scores[n]) for n, end in self.ends.items() if end != "diverged" and n not in self.audited]
        ended = [n for n, rung in self.audited.items() if n in self.ends and not self.is_among_best(n, rung)]
        scores = [0.0 if self.ends[n] == "diverged" else max(self.scores[n]) for n in ended]
        wrong = sum(score > statistics.median(others) for score in scores)
        return Audit(
            count=len(scores),
            wrong=wrong,
            interval=clopper_pearson(wrong, len(scores)),
            winners=sum(score > max(others) for score in scores),
            lost=max(0.0, max(scores) - max(others)),
        )


def clopper_pearson(hits: int, draws: int, miss: float = 0.025) -> tuple[float, float]:
    """Return the 95 % interval by its definition: the rates at which so many hits, or so few, are still likely."""

    def at_least(rate: float) -> float:
        return sum(math.comb(draws, k) * rate**k * (1 - rate) ** (draws - k) for k in range(hits, draws + 1))

    def at_most(rate: float) -> float:
        return sum(math.comb(draws, k) * rate**k * (1 - rate) ** (draws - k) for k in range(hits + 1))

    def bisected(is_low: Any) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if is_low(middle) else (low, middle)
        return low

    lower = 0.0 if hits == 0 else bisected(lambda rate: at_least(rate) < miss)
    upper = 1.0 if hits == draws else bisected(lambda rate: at_most(rate) > miss)
    return lower, upper


def test_audited_trials_and_wrong_stops_are_those_of_a_count_by_hand(seen):
    by_hand, found = ByHand(seen.observer), records(seen)
    assert {record.number: record.audited for record in found if record.audited} == by_hand.audited
    expected = by_hand.audit()
    told = audit(found, SETTINGS)
    assert (told.count, told.wrong, told.winners) == (expected.count, expected.wrong, expected.winners)
    assert told.count >= 10
    assert told.lost == pytest.approx(expected.lost)
    assert told.interval == pytest.approx(expected.interval)


def test_each_rung_audits_its_share(seen):
    by_hand = ByHand(seen.observer)
    for rung, held_back in by_hand.held_back.items():
        audited = sum(by_hand.audited.get(number) == rung for number in held_back)
        low, high = clopper_pearson(audited, len(held_back), miss=0.005)
        assert low <= AUDITED <= high, (rung, audited, len(held_back))
