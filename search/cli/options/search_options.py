"""The options of a search as given on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from search.cli.options.option_types import Workers
from search.ray_cluster.address import cluster_address

LOCAL_STORAGE = "runs"

LOCAL_STORAGE = "runs"
"""Default folder of the studies."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of `search/run.py`. None: not given.

    `search_parser` has their help texts, and `option_conflicts` the options that cannot be combined.
    """

    data: str
    images: str | None
    masks: str | None
    ignored_label: int | None
    split: Literal["random", "grouped", "given"] | None
    group_pattern: str | None
    crop: tuple[int, int] | None
    """(height, width); None: chosen from the sizes of the images."""
    keep_outliers: bool
    drop_list: str | None
    """Path of a drop list."""
    name: str | None
    storage: str
    ledger: str | None
    seed: int
    dry_run: bool

    budget: int | None
    time_budget: float | None
    """Seconds; with `report_until`, the seconds of the search alone."""
    then_report: bool
    report_until: float | None = None
    """When the report must be finished, in seconds since the epoch; set by `share_time`."""
    epochs_budget: int | None
    gpu_hours: float | None
    price_per_hour: float | None
    max_epochs: int | None

    metric: str
    score_classes: list[str] | None
    sampler: str
    scheduler: str
    rung_metric: str
    grace_epochs: int | None
    reduction_factor: int
    audit: float
    patience: int | None
    space: Literal["default", "wide"]
    start_from: str | None
    no_portfolio: bool

    list_systems: bool
    systems: tuple[str, ...] | None
    seeds: int | None
    overrides: Mapping[str, Any]

    profile: str
    train_fraction: float
    max_failures: int
    hang_timeout: float | None
    precision: str
    grad_clip: float
    ema_decay: float | None

    cpus_per_trial: float
    gpus_per_trial: float | Literal["auto"] | None
    workers_per_trial: Workers
    max_concurrent: int | None

    address: str | None
    node_timeout: float | None
    status: str | Literal[True] | None
    """Name of a study; True for all studies."""
    stop: str | None
    rename: tuple[str, str] | None
    delete: str | None
    logs: str | None
    yes: bool
    view: Literal["auto", "events"]

    @property
    def local_storage(self) -> str:
        """The folder of studies on this machine; with a URI, only the checkpoints are there."""
        return LOCAL_STORAGE if "://" in self.storage else self.storage

    @property
    def joins(self) -> bool:
        """Whether a cluster that is already running is named: by the option, or by the environment."""
        return cluster_address(self.address) is not None

    @property
    def submission_address(self) -> str | None:
        """Address of the dashboard for jobs and their queries; None if the search does not run as a job."""
        address = cluster_address(self.address)
        return address if address is not None and address.startswith(("http://", "https://")) else None

    @property
    def managed(self) -> str | None:
        """Name of the study to be shown, stopped, renamed or deleted; None for all studies."""
        asked = (self.status, self.stop, self.rename and self.rename[0], self.delete, self.logs)
        return next((name for name in asked if isinstance(name, str)), None)

    @property
    def manages_studies(self) -> bool:
        """Whether a study is to be shown, stopped, renamed or deleted instead of run."""
        return any((self.status, self.stop, self.rename, self.delete, self.logs))
