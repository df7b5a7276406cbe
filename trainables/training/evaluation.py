"""Evaluation of a model: predictions with the ignored class suppressed, and their scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torchmetrics.classification import MulticlassJaccardIndex

from trainables import distributed
from trainables.data import PreparedData
from trainables.data.batches import Batches
from trainables.memory_errors import ForwardInParts
from trainables.training.ignored_class import suppress

EVALUATION_BATCH = 64
"""Images per batch in evaluation and prediction, summed over all ranks."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of a set of images, from one confusion matrix over all labelled pixels of the set."""

    mean_iou: float
    """Mean of `class_iou`, in [0, 1]; NaN if it is empty."""
    class_iou: dict[str, float]
    """IoU, in [0, 1], of each scored class in the data; without classes neither in these masks nor predicted."""
    confusion: np.ndarray
    """(C, C) pixel counts: rows are true labels, columns predictions. The row of the ignored label is 0."""
    loss: float
    """Mean loss over labelled pixels; NaN if no loss is given or no pixel is labelled."""


def evaluate(
    model: nn.Module,
    data: PreparedData,
    indices: np.ndarray,
    *,
    device: torch.device,
    bf16: bool,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    suppressed: bool = True,
) -> Scores:
    """Score a model on labelled images, split among all ranks. It stays in evaluation mode afterwards.

    Args:
        model: maps images (N, 1, H, W) to logits (N, num_classes, H, W).
        data: the data set.
        indices: (K,) indices of the images.
        device: the device of the model.
        bf16: whether to compute under bf16 autocast.
        loss: loss of logits and masks to report, a mean over labelled pixels.
        suppressed: whether the ignored class is never predicted. If False, predictions of it on labelled pixels count
            as an additional class with an IoU of 0, as in `keras.metrics.MeanIoU(ignore_class=...)`.
    """
    described = data.description
    metric = MulticlassJaccardIndex(
        described.num_classes,
        average="none",
        ignore_index=described.ignored_label,
        zero_division=torch.nan,
        validate_args=False,
    ).to(device)
    model.eval()
    loss_sum_and_pixels = torch.zeros(2, device=device, dtype=torch.float64)
    forward = ForwardInParts(model, device, bf16=bf16)
    batches = Batches(
        data,
        indices,
        batch_size=max(EVALUATION_BATCH, distributed.world_size()),
        device=device,
        rank=distributed.rank(),
        world=distributed.world_size(),
    )
    with torch.inference_mode():
        for images, masks in batches.in_order():
            logits = forward(images)
            if loss is not None:
                labelled = (masks != described.ignore_index).sum()
                loss_sum_and_pixels += torch.stack([loss(logits, masks) * labelled, labelled])
            if suppressed:
                logits = suppress(logits, described.ignored_label)
            metric.update(logits.argmax(1), masks)
        class_iou = metric.compute().tolist()  # sums the confusion matrices of all ranks
        loss_sum, pixels = distributed.all_sum(loss_sum_and_pixels).tolist()
        confusion = distributed.all_sum(metric.confmat.clone()).cpu().numpy()
    counted = data.present_labels
    if not suppressed and described.ignored_label is not None:
        counted = (described.ignored_label, *counted)
    scored = {described.class_names[label]: class_iou[label] for label in counted if not np.isnan(class_iou[label])}
    return Scores(
        mean_iou=float(np.mean(list(scored.values()))) if scored else float("nan"),
        class_iou=scored,
        confusion=confusion,
        loss=loss_sum / pixels if loss is not None and pixels else float("nan"),
    )
