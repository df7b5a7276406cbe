"""The losses by name, and their parameters."""

from __future__ import annotations

import math

from trainables.losses.boundary import boundary
from trainables.losses.cross_entropy import cross_entropy, weighted_cross_entropy
from trainables.losses.focal import focal
from trainables.losses.lovasz import lovasz_softmax
from trainables.losses.regions import batch_dice, batch_tversky, dice, jaccard, tversky
from trainables.losses.task import Loss
from trainables.registry import Component, Parameter

GAMMA = Parameter(
    help="focusing parameter of the focal loss",
    default=2.0,
    allows=lambda value: 0 <= value < math.inf,
    rule="must be at least 0",
)
EXPONENT = Parameter(
    help="class weights are the inverse class frequencies to this power",
    default=0.5,
    allows=lambda value: 0 <= value <= 2,
    rule="must be between 0 and 2",
)
CAP = Parameter(
    help="upper bound of the ratio of each class weight to the smallest one; None: no bound",
    default=None,
    allows=lambda value: 1 <= value < math.inf,
    rule="must be at least 1",
)
ALPHA = Parameter(
    help="weight of a false positive in the Tversky index; a false negative has weight 1 - alpha",
    default=0.3,
    allows=lambda value: 0 < value < 1,
    rule="must be above 0 and below 1",
)

LOSSES: dict[str, Component[Loss]] = {
    "cross_entropy": Component(cross_entropy),
    "weighted_cross_entropy": Component(
        weighted_cross_entropy, {"class_weight_exponent": EXPONENT, "class_weight_cap": CAP}
    ),
    "focal": Component(focal, {"gamma": GAMMA}),
    "dice": Component(dice),
    "jaccard": Component(jaccard),
    "tversky": Component(tversky, {"alpha": ALPHA}),
    "batch_dice": Component(batch_dice),
    "batch_tversky": Component(batch_tversky, {"alpha": ALPHA}),
    "lovasz_softmax": Component(lovasz_softmax),
    "boundary": Component(boundary),
}
"""Each builder takes the task, then its parameters as keyword arguments."""
