"""Terminal tables of a run's plan and of its search space."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from search.cli.options.option_types import AUTO
from search.cli.options.search_options import SearchOptions
from search.formatting import duration
from search.ledger.ledger import Ledger
from search.ray_cluster.capacity import ClusterSize
from search.study.profiles import Profile
from search.study.settings import StudySettings
from search.study.space import Space
from search.tuning.search_plan import SearchPlan
from trainables.data.describe.proposal import Proposal
from trainables.data.sizes.images import by
from trainables.launching.launchers import Launcher


def show_plan(
    console: Console,
    plan: SearchPlan,
    options: SearchOptions,
    profile: Profile,
    size: ClusterSize,
    existing: Ledger | None,
) -> None:
    settings, demand = plan.settings, plan.launcher.demand()
    if profile.name == "cpu" and not settings.systems:
        longer = "" if options.max_epochs else " (more with --max-epochs)"
        console.print(
            f"no GPU: the cpu profile limits the search to widths {'/'.join(map(str, profile.widths))}, depths "
            f"{'/'.join(map(str, profile.depths))} and {settings.max_epochs} epochs per trial{longer}"
            if size.total("GPU") == 0
            else "profile cpu: narrow networks and short trials",
            style="yellow",
            soft_wrap=True,
        )
    if settings.systems and size.total("GPU") == 0 and not settings.overrides and settings.train_fraction == 1:
        console.print(
            "no GPU: systems of full size take many hours; for a quick test add --set model.width=8 --train-fraction "
            f"0.5{'' if options.max_epochs else ' --max-epochs 14'}",
            style="yellow",
            soft_wrap=True,
        )
    limits = [duration(options.time_budget)] if options.time_budget else []
    if limits and options.then_report:
        limits = [f"{limits[0]} (two fifths of the time budget, or less on a slow machine; the rest is for the report)"]
    limits += [f"{options.epochs_budget} epochs"] if options.epochs_budget else []
    limits += [f"{options.gpu_hours:g} GPU-hours"] if options.gpu_hours else []
    limit = f", at most {' and '.join(limits)}" if limits else ""
    table = Table.grid(padding=(0, 2))
    table.add_row("study", str(plan.folder))
    table.add_row("budget", f"{plan.budget} trials{_begun(plan, existing)}{limit}")
    table.add_row(
        "each trial", f"at most {settings.max_epochs} epochs, patience {settings.patience}, seed {settings.seed}"
    )
    if settings.systems:
        seeds = len(plan.first) // len(settings.systems)
        changed = "".join(f", {key}={value}" for key, value in settings.overrides.items())
        table.add_row("systems", f"{len(settings.systems)} of the two reports with {seeds} seeds{changed}")
    else:
        table.add_row("search", f"{_proposals(plan)}; {_stopping(settings)}")
    if not (metric := settings.chosen_metric).is_mean_iou:
        table.add_row("score", metric.sentence())
    if settings.crop is not None:
        table.add_row("crops", f"{by(settings.crop)} pixels; those of an epoch have about as many pixels as the images")
    if settings.keep_outliers or settings.drop_list:
        rules = "outliers are kept" if settings.keep_outliers else "outliers are dropped"
        table.add_row("cleaning", f"{rules}; the drop list names {len(settings.drop_list)} images")
    if settings.train_fraction < 1:
        table.add_row("training data", f"{settings.train_fraction:.0%} of the train part")
    at_most = "at most " if size.startable else ""
    has = f"{at_most}{size.total('CPU'):g} CPUs and {size.total('GPU'):g} GPUs"
    cpus, gpus = (_amount(demand[name], plan.launcher) for name in ("CPU", "GPU"))
    placement = existing.placement if existing else None
    if options.gpus_per_trial == AUTO and placement is None:
        table.add_row("resources", f"{has}; {cpus} CPUs per trial; a probe finds how many trials share a GPU")
    else:
        table.add_row("resources", f"{has}; {cpus} CPUs and {gpus} GPUs per trial; {plan.concurrent} concurrent trials")
    if options.gpus_per_trial == AUTO and placement is not None:
        table.add_row("GPU sharing", placement.sentence())
    console.print(table)


def _begun(plan: SearchPlan, existing: Ledger | None) -> str:
    """Say how many trials of the budget the study has, and what to do if no others would follow."""
    if existing is None or not (count := existing.trial_count):
        return ""
    more = "" if count < plan.budget else ", so no new ones start: raise --budget for more"
    return f" ({count} {'is' if count == 1 else 'are'} already in the ledger{more})"


def _proposals(plan: SearchPlan) -> str:
    """Say where the configurations come from."""
    begin = min(len(plan.first), plan.budget)
    points = f"{begin} starting point{'s' * (begin > 1)}"
    if begin == plan.budget:
        return f"{points}, the whole budget"
    return f"{points}, then sampler {plan.sampler}" if begin else f"sampler {plan.sampler}"


def _stopping(settings: StudySettings) -> str:
    """Say which trials ASHA lets continue."""
    if settings.grace_epochs >= settings.max_epochs:
        return f"ASHA stops no trial: it would compare them from epoch {settings.grace_epochs} on, their last"
    verb = "promotes" if settings.scheduler == "asha-promotion" else "keeps"
    return f"ASHA {verb} 1 in {settings.reduction_factor} from epoch {settings.grace_epochs} on"


def _amount(most: float, launcher: Launcher) -> str:
    least = most * launcher.least_processes / launcher.processes
    return f"{most:g}" if least == most else f"{least:g} to {most:g}"


def show_proposal(console: Console, proposal: Proposal) -> None:
    """Say which sizes of networks and batches suit the data, and why."""
    table = Table.grid(padding=(0, 2))
    for line in proposal.lines()[1:]:
        table.add_row("profile", line)
    console.print(table)


def show_space(console: Console, space: Space) -> None:
    table = Table(title="search space", title_justify="left")
    table.add_column("parameter", no_wrap=True)
    for column in ("range", "exists if", "meaning"):
        table.add_column(column, overflow="fold")
    for parameter in space.parameters:
        table.add_row(parameter.name, parameter.describe_range(), parameter.describe_condition(), parameter.help)
    console.print(table)
