"""Prediction with the ignored class suppressed, and its scores."""

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
from trainables.out_of_memory import ForwardInParts

EVALUATION_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores over one set of images, from a single confusion matrix over all its labelled pixels."""

    mean_iou: float
    """Mean of `class_iou`; NaN if no class has one."""
    class_iou: dict[str, float]
    """IoU of the scored classes that the data holds; without those neither in these masks nor predicted."""
    confusion: np.ndarray
    """(C, C) pixels, rows truth, columns prediction; the ignored label's row is zero."""
    loss: float
    """Mean of the given loss over labelled pixels; NaN without one."""


def suppress(logits: torch.Tensor, ignored_label: int | None) -> torch.Tensor:
    """Logits (N, C, H, W) in which the ignored class can never win.

    The score drops pixels whose truth is the ignored label, so predicting it can only lose: on a labelled pixel it is
    an error, and scorers like `keras.metrics.MeanIoU(ignore_class=0)` even count it as one more, empty class.
    """
    if ignored_label is None:
        return logits
    logits = logits.clone()
    logits[:, ignored_label] = -torch.inf
    return logits


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
    """Score a model on labelled images, over all ranks together. The model is left in evaluation mode.

    With `suppressed` off the ignored class may be predicted. Where that happens on a labelled pixel it counts as one
    class more, with an IoU of 0, as in `keras.metrics.MeanIoU(ignore_class=...)`.
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
        class_iou = metric.compute().tolist()  # gathers the confusion matrices of all ranks
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
