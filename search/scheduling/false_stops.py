"""The audit of ASHA: how the trials ended that it would have stopped, but let run on."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
from scipy import special

from search.ledger.records import TrialRecord
from search.study.rung_metric import RungMetric
from search.study.settings import StudySettings
from trainables.prediction.metric import MEAN_IOU, Metric


def is_audited(seed: int, number: int, epoch: int, fraction: float) -> bool:
    """Return whether a trial that would be stopped or paused after that epoch runs on instead.

    It is a random choice, the same in each run. Each rung draws anew: with one draw per trial, a trial that is paused
    and promoted could not be audited at a higher rung.
    """
    return bool(np.random.default_rng((seed, number, epoch, 0xA0D17)).random() < fraction)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Comparison of the audited trials that ran to their own end with the trials that ASHA let finish."""

    count: int
    wrong: int
    """Number of audited trials that ended above the median of the trials that ASHA let finish."""
    interval: tuple[float, float]
    """Exact 95 % interval of that rate (Clopper and Pearson 1934): it covers the true rate with at least that
    probability, where the shorter Wilson score interval covers some rates with less."""
    winners: int
    """Number of audited trials that ended above the best of the others."""
    lost: float
    """Difference in score between the best audited trial and the best of the others; 0 if it is not better."""

    def sentence(self, metric: Metric = MEAN_IOU) -> str:
        low, high = self.interval
        return (
            f"False-stop audit: of {self.count} trials that ASHA would have stopped, {self.wrong} "
            f"({self.wrong / self.count:.0%}, 95 % interval {low:.0%} to {high:.0%}) ended above the median of those "
            f"that it let finish, and {self.winners} above the best; stopping them would have cost {self.lost:.4f} "
            f"{metric.title}."
        )


def audit(records: list[TrialRecord], settings: StudySettings) -> Audit | None:
    """Compare the audited trials with the others; return None while there is nothing to compare."""
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
    return Audit(
        count=len(audited),
        wrong=wrong,
        interval=exact_interval(wrong, len(audited)),
        winners=sum(score > best for score in audited),
        lost=max(0.0, max(audited) - best),
    )


def exact_interval(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate (Clopper and Pearson 1934) of which `count` of `of` cases were seen.

    Its ends are quantiles of beta distributions. `scipy.stats.binomtest` has the same, but takes a second to import.
    """
    low = special.betaincinv(count, of - count + 1, 0.025) if count else 0.0
    high = special.betaincinv(count + 1, of - count, 0.975) if count < of else 1.0
    return float(low), float(high)


def _ran_to_its_end(record: TrialRecord) -> bool:
    """Return whether the trial ended by itself. One that diverged counts too: stopping it would have been right,
    whatever it had scored before."""
    return record.state == "complete" or (
        record.state == "failed" and record.reports != () and record.reports[-1].diverged
    )


def _would_be_promoted(record: TrialRecord, records: list[TrialRecord], settings: StudySettings) -> bool:
    """Return whether a trial that would have paused is among the best of its rung now, and so would be promoted."""
    rung = [score for other in records if (score := _judged(other, record.audited, settings.rung_metric)) is not None]
    own = _judged(record, record.audited, settings.rung_metric)
    assert own is not None
    return sum(score > own for score in rung) < len(rung) // settings.reduction_factor


def _judged(record: TrialRecord, epoch: int | None, kind: str) -> float | None:
    """Return the trial's rung metric at that epoch; None if it did not reach the epoch, or enters no rung."""
    if record.audited is not None and epoch is not None and epoch > record.audited:
        return None
    rung_metric = RungMetric(kind)
    for report in record.reports:
        if report.score is not None and not report.diverged:
            score = rung_metric(record.number, report.score)
            if report.epoch == epoch:
                return score
    return None
