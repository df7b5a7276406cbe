"""How many epochs a study is expected to train."""

from __future__ import annotations

from search.ledger.records import TrialRecord
from search.study.settings import StudySettings


def expected_epochs(settings: StudySettings, trials: int, audit: float = 0.0) -> int:
    """Return the number of epochs that this many trials train under ASHA, if none fails or ends early.

    All of them train up to the first rung; of those that reach a rung, one in `reduction_factor` trains up to the next
    one, and from the last rung to `max_epochs`. Of the others, the fraction `audit` trains to `max_epochs`.
    """
    total, reached, epoch = 0.0, trials, 0
    rung = min(settings.grace_epochs, settings.max_epochs)
    while reached and epoch < settings.max_epochs:
        total += reached * (rung - epoch)
        better = reached // settings.reduction_factor
        total += audit * (reached - better) * (settings.max_epochs - rung)
        reached = better
        epoch, rung = rung, min(rung * settings.reduction_factor, settings.max_epochs)
    return round(total)


def epochs_left(
    settings: StudySettings, trials: int, past: list[TrialRecord], *, audit: float, epochs_budget: int | None
) -> int:
    """Return the number of epochs that a run is expected to train.

    Args:
        settings: settings of the study.
        trials: total number of trials of the study, including earlier runs.
        past: trials of earlier runs.
        audit: fraction of the trials that train on where ASHA would stop or pause them.
        epochs_budget: maximum number of epochs of all trials, including earlier runs; None: no limit.
    """
    expected = expected_epochs(settings, trials, audit)
    if epochs_budget is not None:
        expected = min(expected, epochs_budget)
    return max(0, expected - sum(len(record.reports) for record in past))
