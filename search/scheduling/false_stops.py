"""Whether early stopping was right: what became of the stopped trials that ran on all the same."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
from scipy import stats

from search.ledger.records import TrialRecord
from search.study.rung_metric import RungMetric
from search.study.settings import StudySettings


def is_audited(seed: int, number: int, fraction: float) -> bool:
    """Whether the trial of that number runs on if it is to be stopped: a random choice that every run repeats."""
    return bool(np.random.default_rng((seed, number, 0xA0D17)).random() < fraction)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Trials that were to be stopped and ran to their own end, against those that were let to."""

    count: int
    wrong: int
    """Of them, how many ended above the median of the trials that were never to be stopped."""
    interval: tuple[float, float]
    """95 % interval of that rate (Wilson score)."""
    winners: int
    """How many would have been the study's best."""
    lost: float
    """By how much the best of them is better than the best of the others, in mean IoU; 0 if it is not."""

    def sentence(self) -> str:
        low, high = self.interval
        return (
            f"False-stop audit: of {self.count} trials that ASHA was to stop and that ran on, {self.wrong} "
            f"({self.wrong / self.count:.0%}, 95 % interval {low:.0%} to {high:.0%}) ended above the median of those "
            f"that it let finish, and {self.winners} above the best; stopping them would have cost {self.lost:.4f} of "
            "mean IoU."
        )


def audit(records: list[TrialRecord], settings: StudySettings) -> Audit | None:
    """None before there is something to compare."""
    ended = [record for record in records if record.audited is not None and _ran_to_its_end(record)]
    ended = [record for record in ended if _judged(record, record.audited, settings.rung_metric) is not None]
    if settings.scheduler == "asha-promotion":
        ended = [record for record in ended if not _would_be_promoted(record, records, settings)]
    scores = [record.score if record.state == "complete" else 0.0 for record in ended]
    audited = [score for score in scores if score is not None]
    finished = [record.score for record in records if record.audited is None and record.state == "complete"]
    others = [score for score in finished if score is not None]
    if not audited or not others:
        return None
    median, best = statistics.median(others), max(others)
    wrong = sum(score > median for score in audited)
    interval = stats.binomtest(wrong, len(audited)).proportion_ci(method="wilson")
    return Audit(
        count=len(audited),
        wrong=wrong,
        interval=(float(interval.low), float(interval.high)),
        winners=sum(score > best for score in audited),
        lost=max(0.0, max(audited) - best),
    )


def _ran_to_its_end(record: TrialRecord) -> bool:
    """Whether nothing but its own training ended it. One that diverged counts, as a stop that was right: whatever it
    scored before, it came to nothing."""
    return record.state == "complete" or (
        record.state == "failed" and record.reports != () and record.reports[-1].diverged
    )


def _would_be_promoted(record: TrialRecord, records: list[TrialRecord], settings: StudySettings) -> bool:
    """Whether a trial that was to be paused is among the best of its rung by now, so that it would have gone on."""
    rung = [score for other in records if (score := _judged(other, record.audited, settings.rung_metric)) is not None]
    own = _judged(record, record.audited, settings.rung_metric)
    assert own is not None
    return sum(score > own for score in rung) < len(rung) // settings.reduction_factor


def _judged(record: TrialRecord, epoch: int | None, kind: str) -> float | None:
    """What the trial was judged by at that epoch; None if it did not get there, or enters no rung."""
    if record.audited is not None and epoch is not None and epoch > record.audited:
        return None
    rung_metric = RungMetric(kind)
    for report in record.reports:
        if report.mean_iou is not None and not report.diverged:
            score = rung_metric(record.number, report.mean_iou)
            if report.epoch == epoch:
                return score
    return None
