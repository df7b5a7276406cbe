"""Decides which failed trials resume from their checkpoint, and which have failed for good."""

from __future__ import annotations

from search.ledger.records import Failure, TrialRecord

NOT_COUNTED = ("out_of_memory", "memory_pressure", "node_lost", "node_unfit", "not_started", "storage")
"""Kinds of failure that do not count towards `max_failures`, because the configuration does not cause them. Two kinds
have limits of their own: out_of_memory (micro-batches of one image) and memory_pressure (`MOST_PRESSED`)."""
MOST_PRESSED = 5
"""Maximum number of times that Ray may kill a trial's process because its machine's memory is full."""


def is_final(record: TrialRecord, failure: Failure, *, max_failures: int) -> bool:
    """Return whether a trial is not retried after this failure.

    A trial that ran out of memory resumes with twice as many micro-batches (`TrialRecord.micro_batches`), down to
    micro-batches of one image.

    Args:
        record: the trial before this failure.
        failure: its newest failure.
        max_failures: how often a trial may fail and resume; kinds in NOT_COUNTED do not count.
    """
    kinds = [past.kind for past in (*record.failures, failure)]
    if failure.kind == "out_of_memory":
        return 2 ** kinds.count("out_of_memory") > record.config["training.batch_size"]
    if failure.kind == "memory_pressure":
        return kinds.count("memory_pressure") > MOST_PRESSED
    return failure.kind not in NOT_COUNTED and sum(kind not in NOT_COUNTED for kind in kinds) > max_failures
