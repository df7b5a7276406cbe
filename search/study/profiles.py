"""Sizes of networks and lengths of trials that suit the hardware."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.data.describe.proposal import Proposal


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Settings of the search space and of trials that depend on the hardware."""

    name: str
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    max_epochs: int
    grace_epochs: int
    patience: int


PROFILES = {
    "gpu": Profile(
        name="gpu",
        depths=(2, 3, 4, 5),
        widths=(16, 32, 48, 64),
        batch_sizes=(16, 32, 64),
        max_epochs=60,
        grace_epochs=6,
        patience=30,
    ),
    "cpu": Profile(
        name="cpu",
        depths=(2, 3, 4),
        widths=(8, 16),
        batch_sizes=(8, 16, 32),
        max_epochs=12,
        grace_epochs=2,
        patience=8,
    ),
}


def suited(profile: Profile, proposal: Proposal) -> Profile:
    """Return the profile with the sizes that suit the data set for which the proposal was made."""
    return dataclasses.replace(profile, depths=proposal.depths, batch_sizes=proposal.batch_sizes)


def choose_profile(name: str, gpus: float) -> Profile:
    """Return the named profile; "auto" is "gpu" where the cluster has a GPU, else "cpu"."""
    if name == "auto":
        name = "gpu" if gpus > 0 else "cpu"
    return PROFILES[name]
