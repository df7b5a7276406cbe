"""Costs of trials: how each one spent its seconds, and the CPU and GPU time that it used."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping

import numpy as np

from search.ledger.ranking import ranked
from search.ledger.records import TrialRecord
from trainables.data import PreparedData
from trainables.data.sizes.images import sizes_of
from trainables.messages import EpochReport

LONGEST = 4.0
"""How many times as long as a trial the longest training in a report is, if the trial's own schedule spans it."""
VIEWS = 4
"""How often a report may predict each image of the test set: once for each combination of flips."""
PARTS = ("queueing", "start-up", "training", "validation", "checkpoints", "waiting")
ONE_CPU = {"CPU": 1.0, "GPU": 0.0}


def worked_seconds(report: EpochReport) -> float:
    return report.train_seconds + report.val_seconds + report.checkpoint_seconds


def seconds_of(record: TrialRecord) -> dict[str, float]:
    """Return the seconds that a trial spent in each of PARTS.

    Without "queueing", they add up to the time from the start to the end of each of its segments. For a segment whose
    driver was killed, only the epochs are known.
    """
    return {
        "queueing": sum(segment.queue_seconds for segment in record.segments),
        "start-up": sum(segment.start_seconds for segment in record.segments),
        "training": sum(report.train_seconds for report in record.reports),
        "validation": sum(report.val_seconds for report in record.reports),
        "checkpoints": sum(report.checkpoint_seconds for report in record.reports),
        "waiting": sum(segment.wait_seconds for segment in record.segments),
    }


def device_seconds(record: TrialRecord, unknown: Mapping[str, float] = ONE_CPU) -> dict[str, float]:
    """Return the CPU and GPU seconds that the trial held.

    They are the sum over its segments of (start-up + waiting + the segment's epochs) times the segment's CPUs or GPUs.
    A segment's epochs are those that were reported after the end of the segment before, until its own end; for epochs
    that were saved but not reported, see `_trained_in`.

    Args:
        record: the trial.
        unknown: CPUs and GPUs of its epochs if the ledger has no segment of it.
    """
    if not record.segments:
        seconds = sum(map(worked_seconds, record.reports))
        return {device: seconds * unknown.get(device, 0.0) for device in ONE_CPU}
    held = dict.fromkeys(ONE_CPU, 0.0)
    for segment, epochs in zip(record.segments, _trained_in(record), strict=True):
        seconds = segment.start_seconds + segment.wait_seconds + sum(map(worked_seconds, epochs))
        held["CPU"] += seconds * segment.cpus
        held["GPU"] += seconds * segment.gpus
    return held


def _trained_in(record: TrialRecord) -> list[list[EpochReport]]:
    """Return the epochs that count in each of the trial's segments.

    They are those that were reported in it, with two exceptions for an epoch that was restored, that is trained and
    saved in the segment before. If that one was killed, nothing else tells of the epoch's seconds: it counts there. If
    it ended otherwise, its waiting includes them. The start-up of the segment with the report is therefore that much
    smaller, unless this one was not measured to its end: then the epoch must not count here.
    """
    lasts = [segment.last_epoch or 0 for segment in record.segments[:-1]] + [record.reported_epochs]
    found: list[list[EpochReport]] = []
    first = 1
    for segment, last in zip(record.segments, lasts, strict=True):
        own = [report for report in record.reports if first <= report.epoch <= last]
        restored = list(itertools.takewhile(lambda report: report.restored, own))
        before = record.segments[len(found) - 1] if found else None
        if before is not None and before.killed:
            found[-1] += restored
            own = own[len(restored) :]
        elif before is not None and (segment.killed or segment.running):
            own = own[len(restored) :]
        found.append(own)
        first = max(first, last + 1)
    return found


def saved_epochs(records: list[TrialRecord], max_epochs: int) -> tuple[int, float]:
    """Return the number of epochs that pruning saved, and an estimate of the seconds that they would have taken."""
    epochs, seconds = 0, 0.0
    for record in records:
        if record.state == "pruned" and record.reports:
            spared = max_epochs - record.reported_epochs
            epochs += spared
            seconds += spared * statistics.fmean(map(worked_seconds, record.reports))
    return epochs, seconds


def final_training_seconds(records: list[TrialRecord], data: PreparedData) -> float | None:
    """Estimate how many seconds the best trial's epochs, up to its best one, take on all labelled images.

    Returns None without a score. The speed is that of the search; a report may be faster, because it trains one model
    at a time, with all the cores or the GPU that trials shared.
    """
    if not (scored := ranked(records)):
        return None
    best = scored[0].best
    assert best is not None
    seconds = sum(report.train_seconds for report in scored[0].reports if report.epoch <= best.epoch)
    everything = data.crops(np.arange(len(data.images)))
    return seconds * int(everything.sum()) / max(1, int(everything[data.split["train"]].sum()))


def longest_training_seconds(report: EpochReport, data: PreparedData, max_epochs: int) -> float:
    """Estimate how many seconds LONGEST times a trial's epochs and the prediction of the test set take.

    Args:
        report: an epoch of a trial; the speed is that of the search, as in `final_training_seconds`.
        data: the study's data.
        max_epochs: maximum number of epochs of a trial.
    """
    from trainables.prediction.tiling import Tiling  # it imports torch, which this module does without otherwise

    tiling = Tiling(height=data.crop[0], width=data.crop[1])
    tiles = 0 if data.unlabelled is None else sum(tiling.count(size) for size in sizes_of(data.unlabelled).tolist())
    predicting = VIEWS * tiles * report.val_seconds / max(1, int(data.crops(data.split["val"]).sum()))
    return LONGEST * max_epochs * worked_seconds(report) + predicting
