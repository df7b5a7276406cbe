"""Makes a plan from the options: checks everything that can be checked before the search, and shows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console

from search.cli.options.option_conflicts import check_grace
from search.cli.options.option_types import AUTO
from search.cli.options.search_options import SearchOptions
from search.cli.plan_table import show_plan, show_proposal
from search.cli.study_checks import check_same_study, check_storage, check_systems, check_workers
from search.gpu_sharing.probe_plan import probe_plan
from search.gpu_sharing.tables import show_probed
from search.ledger.ledger import Ledger
from search.ledger.named_places import name_store
from search.ledger.study_names import derived_name
from search.ray_cluster.capacity import ClusterSize, check_fits, concurrent_trials
from search.sampling.portfolio import portfolio_points
from search.sampling.warm_start import starting_points
from search.storage.location import refuse_links
from search.study.gpu_share import Placement
from search.study.profiles import PROFILES, Profile, choose_profile, suited
from search.study.settings import CHECKPOINTS, StudySettings, data_as_recorded
from search.study.systems import MAX_EPOCHS, PATIENCE, runs_of
from search.tuning.search_plan import SearchPlan
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.data.describe.facts import summarise
from trainables.data.describe.proposal import propose
from trainables.launching.launchers import InlineLauncher, Launcher
from trainables.prediction.metric import Metric
from trainables.profiling.footprint import footprint
from trainables.training.checkpoint_store import join_uri

EMA_DECAY = 0.99
"""Default decay of the weight average, which corresponds to about the last hundred steps."""
BUDGET = 50
"""Default number of trials of a search."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyPlace:
    """A study's locations, and its data."""

    folder: Path
    data: PreparedData
    """The data with the size that the study's trainings see, which an existing study has recorded."""
    checkpoints: str
    """Location of the checkpoints, in the form of `StudySettings.checkpoints`."""
    ledger: Ledger | None
    """The ledger of an existing study, read-only; None for a new study."""
    remark: str | None
    """A remark on the study's name to show to the user, if any."""


def find_study(options: SearchOptions, data: PreparedData) -> StudyPlace:
    """Return the locations and the data of the study, whether it exists or not.

    Raises:
        ValueError: if they cannot be read or written, or no valid study name follows from the name of the data.
    """
    remote = "://" in options.storage
    root = Path(options.local_storage)
    name, remark = options.name, None
    if name is None:
        name, remark = derived_name(data.name, "-systems" if options.systems else "", root)
    folder = root / name
    if options.view == "events":  # shown by a process in another folder
        folder = folder.absolute()
    ledger = Ledger.find(folder, options.ledger)
    checkpoints = _remote_root(options.storage, name, ledger) if remote else CHECKPOINTS
    check_storage(folder, checkpoints if remote else None)
    refuse_links(folder)
    name_store(options.data)
    name_store(checkpoints)
    if options.crop is None and ledger is not None and ledger.settings:
        data = data_as_recorded(data, ledger.settings)
    return StudyPlace(folder=folder, data=data, checkpoints=checkpoints, ledger=ledger, remark=remark)


def _remote_root(storage: str, name: str, ledger: Ledger | None) -> str:
    """Return the URI of a study's checkpoints, whose folder keeps the first name of the study after a renaming."""
    recorded = ledger.settings.get("checkpoints", "") if ledger is not None else ""
    before, after = join_uri(storage, "\0", CHECKPOINTS).split("\0")
    first = recorded[len(before) : len(recorded) - len(after)]
    if first and "/" not in first and recorded == f"{before}{first}{after}":
        return recorded
    return join_uri(storage, name, CHECKPOINTS)


def make_plan(console: Console, options: SearchOptions, size: ClusterSize, study: StudyPlace) -> SearchPlan:
    """Make, check and show the plan of a run on a cluster of the given size.

    Raises:
        ValueError: if the user must change something; nothing has been written at that point.
    """
    folder, existing, data = study.folder, study.ledger, study.data
    profile, proposal = sized(choose_profile(options.profile, size.total("GPU")), existing), None
    if options.profile == AUTO and not options.systems and (existing is None or not existing.settings):
        summary, crop = summarise(data), data.chosen_crop
        proposal = propose(summary, crop=crop, depths=profile.depths, batch_sizes=profile.batch_sizes)
        profile = suited(profile, proposal)
    launcher = make_launcher(options, size.total("GPU"))
    if options.gpu_hours is not None and launcher.demand()["GPU"] == 0:
        raise ValueError("--gpu-hours: trials use no GPU here; use --time-budget or --epochs-budget instead")
    settings = make_settings(options, data, profile, study.checkpoints)
    space = settings.search_space()
    check_workers(options.workers_per_trial, settings, data)
    first: list[dict[str, Any]] = []
    if options.systems:
        check_systems(settings, data)
        first = runs_of(options.systems, seeds=options.seeds or 1, first_seed=options.seed)
    elif options.start_from is not None and (existing is None or not existing.first):
        first = starting_points(options.start_from, space, folder)
    elif existing is None and options.start_from is None and not options.no_portfolio:
        first = portfolio_points(space)
    plan = SearchPlan(
        folder=folder,
        settings=settings,
        space=space,
        sampler=options.sampler,
        first=tuple(first),
        budget=len(first) if options.systems else options.budget or BUDGET,
        max_failures=options.max_failures,
        hang_timeout=options.hang_timeout,
        node_timeout=options.node_timeout,
        joined=size.joined,
        audit=options.audit,
        launcher=launcher,
        concurrent=max_concurrent_trials(launcher, size, options),
    )
    if existing is not None:
        check_same_study(existing, settings, space, folder.name)
    placement = existing.placement if existing else None
    if placement is not None:
        plan = placed(plan, options, data, size, placement)
    show_plan(console, plan, options, profile, size, existing)
    if options.dry_run and proposal is not None:
        show_proposal(console, proposal)
    return plan


def sized(profile: Profile, existing: Ledger | None) -> Profile:
    """Return the profile with the sizes that a study has recorded: they are the same whichever option it began with."""
    recorded = {} if existing is None else existing.settings
    depths, batch_sizes = recorded.get("depths"), recorded.get("batch_sizes")
    return dataclasses.replace(
        profile,
        depths=tuple(depths) if isinstance(depths, list) else profile.depths,
        batch_sizes=tuple(batch_sizes) if isinstance(batch_sizes, list) else profile.batch_sizes,
    )


def probed_placement(console: Console, plan: SearchPlan, options: SearchOptions, data: PreparedData) -> Placement:
    """Probe how many of the study's trials should share a GPU, and show the result.

    Raises:
        ValueError: if no configuration fits into a GPU's memory.
    """
    from search.gpu_sharing.probing import probe

    chosen = probe_plan(plan.settings, data)
    console.print(f"probing one GPU with {len(chosen.each())} configurations, from the smallest to the largest")
    with console.status("waiting for a GPU") as status:
        probed = probe(chosen, data, cpus=options.cpus_per_trial, tell=lambda what: status.update(f"probing {what}"))
    show_probed(console, probed, data)
    return probed.placement


def placed(
    plan: SearchPlan, options: SearchOptions, data: PreparedData, size: ClusterSize, placement: Placement
) -> SearchPlan:
    """Return the plan with the result of a probe. A number of GPUs on the command line takes precedence."""

    def fits(config: dict[str, Any]) -> bool:
        too_large = placement.too_large
        return too_large is None or footprint(TrialConfig.from_flat(config), data).bytes() < too_large

    launcher = plan.launcher
    if options.gpus_per_trial == AUTO:
        launcher = InlineLauncher(cpus=options.cpus_per_trial, gpus=placement.gpus)
    concurrent = max_concurrent_trials(launcher, size, options)
    return dataclasses.replace(plan, launcher=launcher, concurrent=concurrent, fits=fits)


def max_concurrent_trials(launcher: Launcher, size: ClusterSize, options: SearchOptions) -> int:
    """Return the maximum number of concurrent trials.

    Raises:
        ValueError: if not even one trial fits into the cluster.
    """
    if size.joined and options.max_concurrent is not None:
        return options.max_concurrent  # the cluster may grow in ways that are unknown here
    check_fits(launcher, size)
    fit = concurrent_trials(launcher, size)
    return min(fit, options.max_concurrent or fit)


def make_launcher(options: SearchOptions, cluster_gpus: float) -> Launcher:
    """Return the launcher that the options select; with `auto`, a trial has a whole GPU until the probe has run."""
    if options.gpus_per_trial == AUTO and cluster_gpus == 0:
        raise ValueError("--gpus-per-trial auto: the cluster has no GPU that trials could share; leave the option out")
    given = options.gpus_per_trial
    gpus = given if isinstance(given, float) else float(cluster_gpus > 0)
    workers = options.workers_per_trial
    if workers.most == 1:
        return InlineLauncher(cpus=options.cpus_per_trial, gpus=gpus)
    from trainables.launching.worker_groups import WorkersLauncher  # with Ray Train, which takes a second

    return WorkersLauncher(workers=workers.most, least=workers.elastic_from, cpus=options.cpus_per_trial, gpus=gpus)


def _ema_decay(options: SearchOptions) -> float | None:
    """Return the decay of the weight average. By default, the systems of the reports have none, as in the reports."""
    if options.ema_decay is None:
        return None if options.systems else EMA_DECAY
    return options.ema_decay or None


def _if_other(sizes: tuple[int, ...], than: tuple[int, ...]) -> list[int] | None:
    return None if sizes == than else list(sizes)


def make_settings(options: SearchOptions, data: PreparedData, profile: Profile, checkpoints: str) -> StudySettings:
    max_epochs = options.max_epochs or (MAX_EPOCHS if options.systems else profile.max_epochs)
    # Systems are compared after their full training, so ASHA must not stop any.
    grace_epochs = max_epochs if options.systems else options.grace_epochs or min(profile.grace_epochs, max_epochs)
    check_grace(grace_epochs, max_epochs)
    metric = Metric.parse(options.metric, options.score_classes).check(
        data.description, data.labels_in(data.split["val"])
    )
    return StudySettings(
        data=data.source.anywhere.uri,
        fingerprint=data.fingerprint,
        images=data.source.anywhere.images,
        masks=data.source.masks,
        ignored_label=data.source.ignored_label,
        split=data.chosen_split,
        group_pattern=data.source.group_pattern,
        crop=None if data.whole else list(data.crop),
        keep_outliers=data.source.keep_outliers,
        drop_list=list(data.source.drop_list),
        seed=options.seed,
        profile=profile.name,
        space="systems" if options.systems else options.space,
        overrides=dict(options.overrides),
        systems=list(options.systems or ()),
        train_fraction=options.train_fraction,
        max_epochs=max_epochs,
        grace_epochs=grace_epochs,
        reduction_factor=options.reduction_factor,
        scheduler=options.scheduler,
        rung_metric=options.rung_metric,
        patience=options.patience or (PATIENCE if options.systems else profile.patience),
        grad_clip=options.grad_clip,
        ema_decay=_ema_decay(options),
        precision=options.precision,
        checkpoints=checkpoints,
        metric=metric.text,
        score_classes=metric.score_classes,
        depths=_if_other(profile.depths, PROFILES[profile.name].depths),
        batch_sizes=_if_other(profile.batch_sizes, PROFILES[profile.name].batch_sizes),
    )
