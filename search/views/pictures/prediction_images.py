"""Pictures of the best trials' predictions, for TensorBoard."""

from __future__ import annotations

import numpy as np

from search.checkpoints.retention import KEPT
from search.ledger.records import TrialRecord
from search.views.pictures.prediction_panels import prediction_panel, telling_images
from trainables.data import PreparedData
from trainables.data.sizes.images import Chosen
from trainables.device import default_device, uses_bf16
from trainables.prediction.predictor import Predictor
from trainables.prediction.tiling import Tiling
from trainables.training.checkpoint_store import checkpoint_store
from trainables.training.resumable_training import load_best


class Painter:
    """Paints a trial's predictions on a few validation images if it is among the best so far.

    Args:
        data: the study's data.
        checkpoints: path or URI of the study's checkpoints.
        past: trials of earlier runs.
    """

    def __init__(self, data: PreparedData, checkpoints: str, past: list[TrialRecord]):
        self.data, self.checkpoints = data, checkpoints
        self.indices = telling_images(data, "val")
        self._scores = sorted(record.score for record in past if record.score is not None)[-KEPT:]

    def __call__(self, record: TrialRecord) -> np.ndarray | None:
        if record.score is None or (len(self._scores) == KEPT and record.score <= self._scores[0]):
            return None
        self._scores = sorted([*self._scores, record.score])[-KEPT:]
        device = default_device()
        model = load_best(checkpoint_store(self.checkpoints, record.number), self.data, device)
        images = Chosen(self.data.images, self.indices)
        predictor = Predictor(
            models=[model],
            pixels=self.data.pixels,
            device=device,
            bf16=uses_bf16(record.config["training.precision"], device),
            suppressed=self.data.description.ignored_label,
            tiling=Tiling(height=self.data.crop[0], width=self.data.crop[1]),
        )
        return prediction_panel(
            [self.data.pixels.pictures(image[None])[0] for image in images],
            Chosen(self.data.masks, self.indices),
            [labels for batch in predictor.labels(images) for labels in batch],
            self.data.description,
        )
