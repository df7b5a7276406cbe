"""The search command with `--dry-run`: checks everything and shows the plan, but starts nothing on this machine."""

from __future__ import annotations

import os

from search.checkpoints.root import check_root
from search.cli.options.option_types import AUTO
from search.cli.options.search_options import SearchOptions
from search.cli.plan_table import show_space
from search.cli.planning import find_study, make_plan
from search.cli.terminal import terminal
from search.gpu_sharing.probe_plan import probe_plan
from search.gpu_sharing.tables import show_probe_plan
from search.library_output import quiet_optuna
from search.ray_cluster.capacity import ClusterSize, cluster_size, this_machine
from search.ray_cluster.temporary_folder import prepare_ray_folder
from trainables.data import PreparedData


def run(options: SearchOptions, data: PreparedData) -> int:
    """Check and show what a search would do. Returns the exit code.

    Raises:
        ValueError: if the user must change something.
    """
    quiet_optuna()
    console = terminal(options)
    study = find_study(options, data)
    data = study.data
    console.print(data.report.summary(), markup=False, soft_wrap=True)
    if study.remark is not None:
        console.print(study.remark, style="yellow", markup=False, soft_wrap=True)
    address = options.address or os.environ.get("RAY_ADDRESS")
    if address is None:
        prepare_ray_folder()  # as the search will need it
        size = this_machine()
    else:
        console.print(f"joining the Ray cluster at {address}", markup=False, soft_wrap=True)
        size = _size_of_cluster(options.address)
    plan = make_plan(console, options, size, study)
    show_space(console, plan.space)
    if options.gpus_per_trial == AUTO and (study.ledger is None or study.ledger.placement is None):
        show_probe_plan(console, probe_plan(plan.settings, data), data)
    check_root(plan.settings.checkpoint_root(study.folder), study.ledger)
    return 0


def _size_of_cluster(address: str | None) -> ClusterSize:
    import ray

    from search.ray_cluster.session import start_ray
    from trainables.launching.ray_private import dead_nodes_silenced

    with dead_nodes_silenced():
        try:
            return cluster_size(joined=start_ray(dashboard=False, address=address))
        finally:
            ray.shutdown()
