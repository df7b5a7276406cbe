"""Settings of the U-Net."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainables.models.blocks import BLOCKS
from trainables.models.bottlenecks import BOTTLENECKS
from trainables.models.skips import SKIPS
from trainables.validation import check, check_name, resolve


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The U-Net: its size and its parts (see the registries in this package)."""

    depth: int = 3
    """Number of downsampling steps, 2 to 5."""
    width: int = 16
    """Channels of the first encoder stage, at least 1. Each further stage doubles them."""
    block: str = "plain"
    """Convolution block: a key of `BLOCKS`."""
    skip: str = "concat"
    """Skip connection: a key of `SKIPS`."""
    bottleneck: str = "plain"
    """Module after the last encoder stage: a key of `BOTTLENECKS`."""
    aspp_rates: tuple[int, ...] | None = field(default=None, metadata={"flat": ("-", int)})
    """Dilation rates of the ASPP branches, in pixels of the bottleneck features (default 1, 2, 4). Only with ASPP."""
    dropout: float = 0.0
    """Probability of dropping a channel, in [0, 1)."""
    deep_supervision: float = 0.0
    """Weight of the auxiliary heads' losses, in [0, 1]. The head at half the image size has this weight, each coarser
    one half the weight of the previous (0: no auxiliary heads). They are used only in training."""
    class_head: str = "none"
    """Head that classifies which classes are in an image: none, "auxiliary" (only an additional loss) or "gate" (its
    log-probabilities are also added to the logits of all pixels)."""
    background: str = "none"
    """Second network that separates the ignored class from all others: none, "joint" (both networks train together) or
    "sequential" (the second network trains first, then the first one)."""

    def __post_init__(self) -> None:
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
                "must be one or more rates of at least 1",
            )
        check(self, "dropout", 0 <= self.dropout < 1, "must be at least 0 and below 1")
        check(self, "deep_supervision", 0 <= self.deep_supervision <= 1, "must be between 0 and 1")
        check_name(self, "class_head", ("none", "auxiliary", "gate"))
        check_name(self, "background", ("none", "joint", "sequential"))
