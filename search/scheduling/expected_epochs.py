"""How many epochs a study is expected to train."""

from __future__ import annotations

from search.study.settings import StudySettings


def expected_epochs(settings: StudySettings, trials: int) -> int:
    """Return the number of epochs that this many trials train under ASHA, if none fails, ends early, or is audited.

    All of them train up to the first rung; of those that reach a rung, one in `reduction_factor` trains up to the next
    one, and from the last rung to `max_epochs`.
    """
    total, reached, epoch = 0, trials, 0
    rung = min(settings.grace_epochs, settings.max_epochs)
    while reached and epoch < settings.max_epochs:
        total += reached * (rung - epoch)
        reached //= settings.reduction_factor
        epoch, rung = rung, min(rung * settings.reduction_factor, settings.max_epochs)
    return total
