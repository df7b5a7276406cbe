"""TensorBoard logs of a study: scalars of every trial by epoch, the HParams table, pictures of the best trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import struct_pb2
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from torch.utils.tensorboard import SummaryWriter

from search.foreign_text import distinct_names, one_line
from search.ledger.records import TrialRecord
from search.study.space import Parameter, Space
from search.tuning.callbacks import Callback
from trainables.messages import EpochReport
from trainables.prediction.metric import MEAN_IOU, Metric

FOLDER = "trials"
EVENTS = "events.out.tfevents.*"
ABSENT = "n/a"
Painter = Callable[[TrialRecord], np.ndarray | None]


def scalars(report: EpochReport, shown: Mapping[str, str], metric: Metric) -> dict[str, float]:
    """Return a report's numbers by TensorBoard tag; `shown` are the names of classes in tags, by class name."""
    values = {
        "mean_iou": report.mean_iou,
        metric.tag: report.score,
        f"best_{metric.tag}": report.best_score,
        "loss/train": report.train_loss,
        "loss/val": report.val_loss,
        "learning_rate": report.learning_rate,
        "gradient_norm": report.gradient_norm,
        "images_per_second": report.images_per_second,
    } | {f"iou/{shown.get(name) or one_line(name)}": value for name, value in report.class_iou.items()}
    return {tag: value for tag, value in values.items() if value is not None}


class TensorBoardLogger(Callback):
    """Writes TensorBoard events below the study's folder, one TensorBoard run per trial, named by the trial's number.

    Args:
        folder: the study's folder.
        space: the search space; its parameters are the columns of the HParams table.
        class_names: names of the scored classes; the IoU of each is a metric of the table.
        painter: returns a picture, (H, W, 3) uint8, for a trial that is among the best, or None for any other.
        metric: what the scores are.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        class_names: Sequence[str],
        painter: Painter | None = None,
        metric: Metric = MEAN_IOU,
    ):
        self.folder, self.space, self.painter, self.metric = folder, space, painter, metric
        self._shown = distinct_names(class_names)
        self._writers: dict[int, SummaryWriter] = {}
        # TensorBoard uses the first experiment summary that it finds, so a study has exactly one, even if it continues.
        # It is in the folder of the study's first trial: in one of its own it would be a run without any values.
        self._experiment: api_pb2.Experiment | None = None
        if not any(folder.glob(EVENTS)) and not any(folder.glob(f"{FOLDER}/*/{EVENTS}")):
            self._experiment = _experiment(space, self._shown.values(), metric)

    def trial_started(self, record: TrialRecord) -> None:
        writer = self._writers[record.number] = self._writer(record)
        if self._experiment is not None:
            _add(writer, metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=self._experiment))
            self._experiment = None
        start = SessionStartInfo(start_time_secs=time.time())
        for parameter in self.space.parameters:
            _set(start.hparams[parameter.name], _value(parameter, record.params))
        _add(writer, metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        for tag, value in scalars(report, self._shown, self.metric).items():
            self._writers[record.number].add_scalar(tag, value, report.epoch)
        self._writers[record.number].flush()

    def _writer(self, record: TrialRecord) -> SummaryWriter:
        return SummaryWriter(str(self.folder / FOLDER / f"{record.number:04d}"))

    def attempt_failed(self, record: TrialRecord) -> None:
        if (writer := self._writers.pop(record.number, None)) is not None:
            writer.close()

    def trial_paused(self, record: TrialRecord) -> None:
        self.attempt_failed(record)  # the next attempt opens another file of the same TensorBoard run

    def trial_ended(self, record: TrialRecord) -> None:
        with self._writers.pop(record.number, None) or self._writer(record) as writer:
            status = api_pb2.STATUS_FAILURE if record.state == "failed" else api_pb2.STATUS_SUCCESS
            end = SessionEndInfo(status=status, end_time_secs=time.time())
            _add(writer, metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))
            # The picture comes last, because the checkpoint that it needs may be unavailable.
            if self.painter is not None and record.best is not None and (picture := self.painter(record)) is not None:
                writer.add_image("input, truth, prediction, errors", picture, record.best.epoch, dataformats="HWC")


def _add(writer: SummaryWriter, tag: str, content: HParamsPluginData) -> None:
    content.version = metadata.PLUGIN_DATA_VERSION
    described = metadata.create_summary_metadata(content)
    value = Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
    writer._get_file_writer().add_summary(Summary(value=[value]))


def _set(target: struct_pb2.Value, value: bool | float | str) -> None:
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = value
    else:
        target.number_value = value


def _value(parameter: Parameter, params: dict[str, Any]) -> Any:
    value = params.get(parameter.name, ABSENT)
    # Each column has one type: if a value may be absent, the column holds text.
    if parameter.when is None:
        return value
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _experiment(space: Space, class_names: Iterable[str], metric: Metric) -> api_pb2.Experiment:
    infos = []
    for parameter in space.parameters:
        info = api_pb2.HParamInfo(name=parameter.name, description=parameter.help)
        sample = parameter.choices[0] if parameter.choices else parameter.low
        if parameter.when or isinstance(sample, str):
            info.type = api_pb2.DATA_TYPE_STRING
        else:
            info.type = api_pb2.DATA_TYPE_FLOAT64
        infos.append(info)
    best, others = f"best_{metric.tag}", ("loss/val", "loss/train", *(f"iou/{name}" for name in class_names))
    titles = {best: f"best {metric.title}", metric.tag: metric.title} if not metric.is_mean_iou else {}
    tags = dict.fromkeys((best, metric.tag, "mean_iou", *others))
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=titles.get(tag, tag)) for tag in tags]
    return api_pb2.Experiment(
        description="hyperparameter search",
        time_created_secs=time.time(),
        hparam_infos=infos,
        metric_infos=metrics,
    )
