"""The options of a search as given on the command line, and the rules about options that cannot be combined."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from search.cli.options.option_types import AUTO, Workers


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of `search/run.py`; their help texts are in `search_parser`. None: not given.

    Raises:
        ValueError: if options cannot be combined; the message names them.
    """

    data: str
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

    def __post_init__(self) -> None:
        if self.gpus_per_trial == AUTO and self.workers_per_trial.most > 1:
            raise ValueError(
                "--gpus-per-trial auto lets trials share a GPU, but --workers-per-trial spreads a trial over several: "
                "give a number for --gpus-per-trial"
            )
        if self.view == "events" and self.submission_address is not None:
            raise ValueError(
                "--view events shows a search in this process and cannot be combined with --address http://...: leave "
                "one of them out"
            )
        if self.then_report and (self.view == "events" or self.submission_address is not None):
            raise ValueError(
                "--then-report cannot be combined with --address http://... or --view events: make the report with "
                "python reports/run.py on the machine that has the study"
            )
        if self.max_epochs is not None and self.grace_epochs is not None:
            check_grace(self.grace_epochs, self.max_epochs)
        if self.systems is None and not self.list_systems:
            for name, given in (("--seeds", self.seeds), ("--set", self.overrides)):
                if given:
                    raise ValueError(f"{name} can only be used with --systems")
        else:
            self._check_no_search()

    def _check_no_search(self) -> None:
        searching = {
            "--budget": self.budget is not None,
            "--start-from": self.start_from is not None,
            "--space": self.space != "default",
            "--grace-epochs": self.grace_epochs is not None,
            "--audit": self.audit > 0,
            "--scheduler": self.scheduler != "asha-promotion",
            "--rung-metric": self.rung_metric != "best",
        }
        for name, given in searching.items():
            if given:
                raise ValueError(
                    f"{name} cannot be used with --systems, which trains the given systems without a search"
                )

    @property
    def submission_address(self) -> str | None:
        """Address of the dashboard for jobs and their queries; None if the search does not run as a job."""
        address = self.address or os.environ.get("RAY_ADDRESS", "")
        return address if address.startswith(("http://", "https://")) else None

    @property
    def manages_studies(self) -> bool:
        """Whether a study is to be shown, stopped, renamed or deleted instead of run."""
        return any((self.status, self.stop, self.rename, self.delete, self.logs))


def check_grace(grace_epochs: int, max_epochs: int) -> None:
    """Raises ValueError if trials would end before ASHA may stop them."""
    if grace_epochs > max_epochs:
        raise ValueError(
            f"--grace-epochs {grace_epochs} is greater than --max-epochs {max_epochs}: ASHA could stop no trial; lower "
            "--grace-epochs"
        )
