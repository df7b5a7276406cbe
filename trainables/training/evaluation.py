"""Evaluation of a model: predictions with the ignored class suppressed, and their IoU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from trainables import distributed
from trainables.data import PreparedData
from trainables.data.batches import NOT_COUNTED, Batches
from trainables.losses import TrainingLoss
from trainables.memory_errors import ForwardInParts
from trainables.prediction.ignored_class import suppress
from trainables.prediction.iou import class_iou, mean_iou
from trainables.prediction.metric import MEAN_IOU, Metric
from trainables.prediction.predictor import at_once


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of a set of images, from one confusion matrix over all labelled pixels of the set."""

    score: float
    """The metric, in [0, 1]; NaN if no class counts."""
    mean_iou: float
    """Mean of `class_iou`, in [0, 1]; NaN if it is empty."""
    class_iou: dict[str, float]
    """IoU, in [0, 1], of each scored class that these masks hold (see `class_iou`)."""
    confusion: np.ndarray
    """(C, C) pixel counts: rows are true labels, columns predictions. The row of the ignored label is 0."""
    loss: float
    """Mean loss over the pixels that the loss does not leave out; NaN if no loss is given or no such pixel exists."""


def evaluate(
    model: nn.Module,
    data: PreparedData,
    indices: np.ndarray,
    *,
    device: torch.device,
    bf16: bool,
    loss: TrainingLoss | None = None,
    suppressed: bool = True,
    metric: Metric = MEAN_IOU,
) -> Scores:
    """Score a model on labelled images, split among all ranks. It stays in evaluation mode afterwards.

    Images that are not as large as a crop are evaluated in tiles that count each of their pixels once. A rank may have
    no image, if there are fewer images than ranks.

    Args:
        model: maps images (N, channels, H, W) to logits (N, num_classes, H, W).
        data: the data set.
        indices: (K,) indices of the images.
        device: the device of the model.
        bf16: whether to compute under bf16 autocast.
        loss: loss to report.
        suppressed: whether the ignored class is never predicted. If False, predictions of it on labelled pixels count
            as an additional class with an IoU of 0, as in `keras.metrics.MeanIoU(ignore_class=...)`.
        metric: what the score is.
    """
    from torchmetrics.functional.classification import (
        multiclass_confusion_matrix,  # takes longer than all other imports
    )

    described, rank, world = data.description, distributed.rank(), distributed.world_size()
    model.eval()
    classes = described.num_classes
    counts = torch.zeros(classes, classes, device=device, dtype=torch.int64)
    loss_sum_and_pixels = torch.zeros(2, device=device, dtype=torch.float64)
    forward = ForwardInParts(model, device, bf16=bf16)
    batches = Batches(data, indices, batch_size=at_once(data.crop), device=device, rank=rank, world=world)
    with torch.inference_mode():
        for images, masks in batches.in_order():
            logits = forward(images)
            if loss is not None:
                counted = masks if data.whole else masks.where(masks != NOT_COUNTED, loss.ignore_index)
                pixels = loss.pixels(counted)
                loss_sum_and_pixels += torch.stack([loss(logits, counted) * pixels, pixels])
            if suppressed:
                logits = suppress(logits, described.ignored_label)
            ignored = described.ignored_label
            if not data.whole:
                ignored = described.ignore_index
                masks = masks.where(masks != NOT_COUNTED, ignored)
            counts += multiclass_confusion_matrix(
                logits.argmax(1), masks, classes, ignore_index=ignored, validate_args=False
            )
        loss_sum, total = distributed.all_sum(loss_sum_and_pixels).tolist()
        confusion = distributed.all_sum(counts).cpu().numpy()
    by_class = zip(described.class_names, class_iou(confusion, described.ignored_label).tolist(), strict=True)
    return Scores(
        score=float(metric.score(confusion, described.class_names, described.ignored_label)),
        mean_iou=float(mean_iou(confusion, described.ignored_label)),
        class_iou={name: iou for name, iou in by_class if not np.isnan(iou)},
        confusion=confusion,
        loss=loss_sum / total if loss is not None and total else float("nan"),
    )
