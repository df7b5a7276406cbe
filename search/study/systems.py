"""The systems of the two student reports that this project grew from, each as a plain named configuration.

There is a system for every row of their tables. What else they tried is a variation of one of these rows. Where a
report gives no value, a usual one is used: batches of 32, Adam at 1e-3, SGD at 0.05 with momentum 0.9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from search.study.space import Parameter, Scalar, Space

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

REPORTS = {
    "report-a": "U-Net of 32 to 512 filters, horizontal flips, early stopping with patience 30",
    "report-b": "U-Net of 2 to 4 blocks from 32 filters, dropout 0.5, cosine decay, flips and crops",
}
MAX_EPOCHS, PATIENCE = 150, 30
"""Epochs of a system at full length, and the patience of its early stopping."""
MOST_SEEDS = 100


@dataclass(frozen=True, kw_only=True)
class System:
    """One system of a report."""

    name: str
    report: str
    """A key of REPORTS."""
    title: str
    """Title in the report."""
    config: Mapping[str, Scalar]
    """Configuration in the flat form of `TrialConfig`; absent keys take their defaults."""
    published: Mapping[str, float] = field(default_factory=dict)
    """IoU in percent, by the part on which the report measured it; empty if the report gives no number."""
    varies: str | None = None
    """Name of the row of the table that this is a variation of; None for a row itself."""
    remark: str = ""


def _with(base: System, name: str, title: str, changes: Mapping[str, Scalar], remark: str = "") -> System:
    config = {**base.config, **changes}
    return System(name=name, report=base.report, title=title, config=config, varies=base.name, remark=remark)


_A: dict[str, Scalar] = {
    "model.depth": 4,
    "model.width": 32,
    "optimizer.name": "adamw",
    "optimizer.lr": 1e-3,
    "schedule.name": "constant",
    "augmentation.name": "hflip",
    "training.batch_size": 32,
}


def _row_a(name: str, title: str, published: float, changes: Mapping[str, Scalar], remark: str = "") -> System:
    config = {**_A, **changes}
    return System(
        name=name, report="report-a", title=title, config=config, published={"validation": published}, remark=remark
    )


def _report_a() -> list[System]:
    learned: dict[str, Scalar] = {"loss.learn_ignored": True}
    best = _row_a(
        "a-ce-ignoring",
        "cross-entropy ignoring class 0, AdamW",
        64.39,
        {},
        "trained on all data: 69.63 validation, 64.6 leaderboard",
    )
    pair = _row_a("a-background", "background network, AdamW", 63.66, {"model.background": "joint"})
    one_by_one: dict[str, Scalar] = {"model.background": "sequential"}
    sgd: dict[str, Scalar] = {"optimizer.name": "sgd", "optimizer.lr": 0.05, "optimizer.momentum": 0.9}
    return [
        _row_a("a-focal", "focal loss, AdamW", 39.51, {"loss.name": "focal", **learned}),
        _row_a("a-dice", "Dice loss, AdamW", 42.98, {"loss.name": "dice", **learned}),
        _row_a("a-ce", "cross-entropy, AdamW", 43.89, learned),
        _row_a("a-ce-ignoring-sgd", "cross-entropy ignoring class 0, SGD", 62.09, sgd),
        pair,
        best,
        _with(pair, "a-background-first", "its networks trained one after the other", one_by_one),
        _with(best, "a-adam", "Adam", {"optimizer.name": "adam"}),
        _with(best, "a-plateau", "ReduceLROnPlateau", {"schedule.name": "plateau"}),
        _with(best, "a-onecycle", "OneCycle", {"schedule.name": "onecycle"}),
        _with(best, "a-flips", "vertical flips too", {"augmentation.name": "flips"}, "about -4 points"),
        _with(best, "a-rotate", "random rotations", {"augmentation.name": "hflip+rotate"}, "about -4 points"),
        _with(best, "a-elastic", "elastic transformations", {"augmentation.name": "hflip+elastic"}, "about -4 points"),
        _with(best, "a-grid", "grid distortions", {"augmentation.name": "hflip+grid_distortion"}, "about -4 points"),
        _with(best, "a-gated", "gated skip connections", {"model.skip": "gated"}),
        _with(best, "a-deep-supervision", "deep supervision", {"model.deep_supervision": 0.5}),
        _with(best, "a-jaccard", "multiclass Jaccard loss ignoring class 0", {"loss.name": "jaccard"}),
    ]


_B: dict[str, Scalar] = {
    "model.width": 32,
    "model.dropout": 0.5,
    "loss.learn_ignored": True,
    "optimizer.name": "adamw",
    "optimizer.lr": 1e-3,
    "schedule.name": "cosine",
    "augmentation.name": "flips+crop",
    "training.batch_size": 32,
}


def _row_b(name: str, title: str, local: float, leaderboard: float | None, changes: Mapping[str, Scalar]) -> System:
    published = {"local test": local} | ({} if leaderboard is None else {"leaderboard": leaderboard})
    return System(name=name, report="report-b", title=title, config={**_B, **changes}, published=published)


def _report_b() -> list[System]:
    three: dict[str, Scalar] = {"model.depth": 3}
    aspp: dict[str, Scalar] = {**three, "model.bottleneck": "aspp"}
    attention: dict[str, Scalar] = {**aspp, "model.skip": "attention"}
    x = _row_b("b-unet3", "U-Net (3 blocks) = x", 52.26, 47.76, three)
    return [
        _row_b("b-unet2", "base U-Net (2 blocks), categorical cross-entropy", 43.16, 42.19, {"model.depth": 2}),
        x,
        _row_b("b-aspp", "x + ASPP", 53.00, 50.06, aspp),
        _row_b("b-attention", "x + ASPP + attention blocks", 54.87, 53.50, attention),
        _row_b(
            "b-finetuned",
            "x + ASPP + attention + fine-tuning",
            65.62,
            None,
            {**attention, "second_stage.name": "frozen_encoder"},
        ),
        _with(x, "b-unet4", "4 blocks", {"model.depth": 4}, "worse"),
        _with(
            x,
            "b-weighted",
            "weighted loss (inverse class frequencies)",
            {"loss.name": "weighted_cross_entropy", "loss.class_weight_exponent": 1.0},
        ),
        _with(x, "b-focal", "focal loss", {"loss.name": "focal"}),
        _with(
            x,
            "b-boundary",
            "boundary loss",
            {"loss.name": "cross_entropy+boundary"},
            "with cross-entropy, as its paper has it",
        ),
        _with(x, "b-focal-dice", "focal + Dice", {"loss.name": "focal+dice"}),
        _with(x, "b-residual", "residual connections", {"model.block": "residual"}),
        _with(x, "b-add", "skip connections by addition", {"model.skip": "add"}),
        _with(x, "b-fusion", "skip connections by adaptive fusion", {"model.skip": "fusion"}),
        _with(x, "b-plateau", "ReduceLROnPlateau", {"schedule.name": "plateau"}),
        _with(x, "b-brightness", "brightness/contrast", {"augmentation.name": "flips+brightness+crop"}, "worse"),
    ]


SYSTEMS: dict[str, System] = {system.name: system for system in (*_report_a(), *_report_b())}


def choose_systems(text: str) -> tuple[str, ...]:
    """Return names of systems, in the order of SYSTEMS, for "all", reports and names joined by commas.

    Raises:
        ValueError: for any other word.
    """
    wanted: set[str] = set()
    for word in text.split(","):
        found = {system.name for system in SYSTEMS.values() if word in ("all", system.report, system.name)}
        if not found:
            known = ", ".join(("all", *REPORTS, *SYSTEMS))
            raise ValueError(f"--systems: unknown system {word!r}: must be one of {known}")
        wanted |= found
    return tuple(name for name in SYSTEMS if name in wanted)


@dataclass(frozen=True)
class SystemsSpace(Space):
    """The systems as a space of two parameters: the name of the system, and the seed."""

    overrides: Mapping[str, Scalar]
    """Values that replace those of every system, in the flat form of `TrialConfig`."""

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        chosen = super().suggest(trial)
        system = SYSTEMS[str(chosen.pop("system"))]
        return {**system.config, **chosen, **self.overrides}


def systems_space(overrides: Mapping[str, Scalar]) -> SystemsSpace:
    return SystemsSpace(
        (
            Parameter(name="system", choices=tuple(SYSTEMS), help="a system of the reports"),
            Parameter(name="training.seed", low=0, high=2**31 - 1, whole=True, help="seed of weights and batches"),
        ),
        overrides,
    )


def runs_of(names: Sequence[str], *, seeds: int, first_seed: int) -> list[dict[str, Scalar]]:
    """Return the parameters of every run, seed by seed, so that more seeds only add runs at the end."""
    return [{"system": name, "training.seed": first_seed + index} for index in range(seeds) for name in names]


def system_points(space: Space) -> list[dict[str, Scalar]]:
    """Return each row of the tables as the nearest point of a search space, without duplicates."""
    points: list[dict[str, Scalar]] = []
    for system in SYSTEMS.values():
        if system.varies is None and (point := space.nearest(system.config)) not in points:
            points.append(point)
    return points
