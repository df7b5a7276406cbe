"""The concerns of a trial, one frozen dataclass each, validated when built.

A field that means nothing for a choice (`gamma` without focal loss) is None; one that means something and was left out
is filled with its default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainables.config_rules import PLUS, check, check_name, check_names, check_positive, resolve


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The U-Net: its size and its parts (registries in `trainables.models`)."""

    depth: int = 3
    """Number of down-samplings, 2 to 5."""
    width: int = 16
    """Channels of the first encoder stage; each stage doubles them."""
    block: str = "plain"
    """Convolution block: a key of BLOCKS."""
    skip: str = "concat"
    """How encoder features join the decoder: a key of SKIPS."""
    bottleneck: str = "plain"
    """What follows the last encoder stage: a key of BOTTLENECKS."""
    aspp_rates: tuple[int, ...] | None = None
    """Dilation rates of the ASPP branches, in pixels of the bottleneck's map (default 1, 2, 4). Only with ASPP."""
    dropout: float = 0.0
    """Probability of dropping a channel, in [0, 1)."""
    deep_supervision: float = 0.0
    """Weight of the auxiliary heads' losses: the one at half the size gets this, each coarser one half of the one
    before (0: no such heads). They do not exist at inference."""
    class_head: str = "none"
    """A head that tells which classes an image shows: none, "auxiliary" (trained beside the pixels) or "gate" (and its
    log-probabilities are added to the pixels' logits)."""
    background: str = "none"
    """A second network that tells the ignored class from the others: none, "joint" (trained together with the first)
    or "sequential" (trained first, alone)."""

    def __post_init__(self) -> None:
        from trainables.models import BLOCKS, BOTTLENECKS, SKIPS

        check(self, "depth", self.depth in range(2, 6), "must be 2, 3, 4 or 5")
        check(self, "width", isinstance(self.width, int) and self.width >= 1, "must be a whole number of at least 1")
        for name, registry in (("block", BLOCKS), ("skip", SKIPS), ("bottleneck", BOTTLENECKS)):
            check_name(self, name, tuple(registry))
        resolve(self, {"aspp_rates": ("bottleneck", ("aspp",), (1, 2, 4))})
        if self.aspp_rates is not None:
            object.__setattr__(self, "aspp_rates", tuple(self.aspp_rates))
            check(
                self,
                "aspp_rates",
                len(self.aspp_rates) > 0 and min(self.aspp_rates) >= 1,
                "must be rates of at least 1",
            )
        check(self, "dropout", 0 <= self.dropout < 1, "must be at least 0 and below 1")
        check(self, "deep_supervision", 0 <= self.deep_supervision <= 1, "must be between 0 and 1")
        check_name(self, "class_head", ("none", "auxiliary", "gate"))
        check_name(self, "background", ("none", "joint", "sequential"))


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The training loss: one or more keys of `trainables.losses.LOSSES`, and their parameters."""

    name: str = "cross_entropy"
    """A key, or several joined by a plus: "focal+dice" is their weighted sum."""
    term_weights: tuple[float, ...] | None = None
    """Weights of the sum's terms (default: 1 each). Only with a sum."""
    learn_ignored: bool = False
    """Train on pixels of the ignored label as on any other class. The score leaves them out in any case."""
    gamma: float | None = None
    """Focusing parameter of the focal loss (at least 0; default 2). Only with focal."""
    class_weight_exponent: float | None = None
    """Class weights are inverse class frequencies to this power (default 0.5). Only with weighted_cross_entropy."""
    class_weight_cap: float | None = None
    """No class weighs more than this many times the lightest (None: no cap). Only with weighted_cross_entropy."""
    alpha: float | None = None
    """What a false positive counts in the Tversky loss, in (0, 1); a false negative counts 1 - alpha (default 0.3)."""

    def __post_init__(self) -> None:
        from trainables.losses import LOSSES

        check_names(self, "name", tuple(LOSSES))
        resolve(
            self,
            {
                "gamma": ("name", ("focal",), 2.0),
                "class_weight_exponent": ("name", ("weighted_cross_entropy",), 0.5),
                "class_weight_cap": ("name", ("weighted_cross_entropy",), None),
                "alpha": ("name", ("tversky", "batch_tversky"), 0.3),
            },
        )
        terms = self.name.split(PLUS)
        if self.term_weights is None and len(terms) > 1:
            object.__setattr__(self, "term_weights", (1.0,) * len(terms))
        if self.term_weights is not None:
            object.__setattr__(self, "term_weights", tuple(map(float, self.term_weights)))
            ok = len(terms) > 1 and len(self.term_weights) == len(terms)
            check(self, "term_weights", ok, f"must be one weight for each term of a sum, the loss is {self.name!r}")
            ok = all(math.isfinite(weight) and weight > 0 for weight in self.term_weights)
            check(self, "term_weights", ok, "must be positive numbers")
        if self.gamma is not None:
            check(self, "gamma", 0 <= self.gamma < math.inf, "must be at least 0")
        if self.class_weight_exponent is not None:
            check(self, "class_weight_exponent", 0 <= self.class_weight_exponent <= 2, "must be between 0 and 2")
        if self.class_weight_cap is not None:
            check(self, "class_weight_cap", 1 <= self.class_weight_cap < math.inf, "must be at least 1")
        if self.alpha is not None:
            check(self, "alpha", 0 < self.alpha < 1, "must be above 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer: a key of `trainables.optimizers.OPTIMIZERS` and its parameters."""

    name: str = "adamw"
    lr: float = 1e-3
    """Learning rate: the peak of the schedule."""
    weight_decay: float = 1e-4
    momentum: float | None = None
    """Momentum in [0, 1) (default 0.9). Only with SGD."""

    def __post_init__(self) -> None:
        from trainables.optimizers import OPTIMIZERS

        check_name(self, "name", tuple(OPTIMIZERS))
        check_positive(self, "lr")
        check(self, "weight_decay", 0 <= self.weight_decay < math.inf, "must be at least 0")
        resolve(self, {"momentum": ("name", ("sgd",), 0.9)})
        if self.momentum is not None:
            check(self, "momentum", 0 <= self.momentum < 1, "must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning-rate schedule: a key of `trainables.schedules.SCHEDULES` and its parameters."""

    name: str = "onecycle"
    factor: float | None = None
    """Learning rate is multiplied by this in (0, 1) when the score stalls (default 0.5). Only with plateau."""
    patience: int | None = None
    """Epochs without a better score before that happens (default 5). Only with plateau."""
    warmup_fraction: float | None = None
    """Part of all steps in which the learning rate rises, in (0, 1) (default 0.3). Only with onecycle."""

    def __post_init__(self) -> None:
        from trainables.schedules import SCHEDULES

        check_name(self, "name", tuple(SCHEDULES))
        resolve(
            self,
            {
                "factor": ("name", ("plateau",), 0.5),
                "patience": ("name", ("plateau",), 5),
                "warmup_fraction": ("name", ("onecycle",), 0.3),
            },
        )
        for name in ("factor", "warmup_fraction"):
            if (value := getattr(self, name)) is not None:
                check(self, name, 0 < value < 1, "must be above 0 and below 1")
        if self.patience is not None:
            check(self, "patience", self.patience >= 0, "must be at least 0")


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """The training augmentation: keys of `trainables.augmentations.AUGMENTATIONS`, and what mixes images."""

    name: str = "hflip"
    """A key, or several joined by a plus: "flips+crop" applies them in this order."""
    cutmix: float = 0.0
    """Probability that a box of an image is replaced by that of another training image, labels included."""
    copy_paste: float = 0.0
    """Probability that regions of the rarest class are pasted into an image from other training images."""
    oversampling: int = 1
    """Images that hold the rarest class are drawn this many times as often as the others."""
    rare_share: float = 0.0
    """At least this part of each batch's images hold the rarest class, in [0, 1)."""

    def __post_init__(self) -> None:
        from trainables.augmentations import AUGMENTATIONS

        check_names(self, "name", tuple(AUGMENTATIONS))
        alone = self.name == "none" or "none" not in self.name.split(PLUS)
        check(self, "name", alone, "none stands alone")
        for name in ("cutmix", "copy_paste"):
            check(self, name, 0 <= getattr(self, name) <= 1, "must be between 0 and 1")
        ok = isinstance(self.oversampling, int) and self.oversampling >= 1
        check(self, "oversampling", ok, "must be a whole number of at least 1")
        check(self, "rare_share", 0 <= self.rare_share < 1, "must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class SecondStageConfig:
    """What follows when the first stage of training is over: fine-tuning from its best epoch."""

    name: str = "none"
    """none, or "frozen_encoder": bottleneck and decoder are trained on, the encoder and its batch statistics stay."""
    fraction: float | None = None
    """The second stage's part of `training.max_epochs`, in (0, 1) (default 0.3). Only with a second stage."""
    lr: float | None = None
    """Its peak learning rate (default 3e-4). Only with a second stage."""

    def __post_init__(self) -> None:
        check_name(self, "name", ("none", "frozen_encoder"))
        resolve(self, {"fraction": ("name", ("frozen_encoder",), 0.3), "lr": ("name", ("frozen_encoder",), 3e-4)})
        if self.fraction is not None:
            check(self, "fraction", 0 < self.fraction < 1, "must be above 0 and below 1")
        if self.lr is not None:
            check_positive(self, "lr")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the epoch loop runs."""

    batch_size: int = 32
    """Images per optimizer step, over all ranks together."""
    max_epochs: int = 30
    """Length of the learning-rate schedule, and the epoch at which training ends at the latest."""
    patience: int = 30
    """Early stopping: epochs without a better mean IoU on the validation part before training ends."""
    grad_clip: float = 1.0
    """Upper bound of the gradient's L2 norm."""
    ema_decay: float | None = None
    """Decay, in (0, 1), of the weights' exponential moving average that is evaluated and kept. None: no average."""
    seed: int = 0
    precision: str = "auto"
    """bf16 (autocast), fp32, or auto: bf16 where the device computes in it natively."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_epochs", "patience"):
            check(self, name, isinstance(getattr(self, name), int) and getattr(self, name) >= 1, "must be at least 1")
        check_positive(self, "grad_clip")
        if self.ema_decay is not None:
            check(self, "ema_decay", 0 < self.ema_decay < 1, "must be above 0 and below 1")
        check(self, "seed", isinstance(self.seed, int) and self.seed >= 0, "must be a whole number of at least 0")
        check_name(self, "precision", ("auto", "bf16", "fp32"))
