"""Seconds per trial of the engine's overhead, compared with Ray's documented pattern of Ray Train inside Ray Tune.

All run a loop that computes nothing and reports 4 epochs, 2 trials at a time, on the same local cluster. This project
does the same as in a real search: proposals of the forest, ASHA by promotion, the ledger on disk, and TensorBoard
events. Worker groups and Ray's pattern train each trial with one worker.

    python -m tests.benchmarks.engine_overhead [--trials 300] [--group-trials 8] [--documented-trials 4]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.launching.launchers import Launcher

EPOCHS = 4


def no_op_loop(request: Any) -> Iterator[Any]:
    """Yield 4 reports without any delay, with better scores for deeper networks."""
    from trainables.messages import EpochReport

    for epoch in range(request.reported_epochs + 1, EPOCHS + 1):
        score = 0.1 * request.config["model.depth"] + 0.01 * epoch
        yield EpochReport(
            epoch=epoch,
            train_loss=1.0,
            val_loss=1.0,
            score=score,
            mean_iou=score,
            class_iou={"soil": score, "bedrock": score},
            best_score=score,
            best_epoch=epoch,
            learning_rate=1e-3,
            gradient_norm=1.0,
            images_per_second=1.0,
            train_seconds=0.0,
            val_seconds=0.0,
            parameters=1,
            ended="max_epochs" if epoch == EPOCHS else None,
        )


def ours(trials: int, folder: Path, launcher: Launcher) -> float:
    """Return the seconds per trial of a study of `trials` trials."""
    from search.ledger.ledger import Ledger
    from search.study.profiles import PROFILES
    from search.study.unet_space import unet_space
    from search.tuning.meter import Meter
    from search.tuning.run_end import Stopping
    from search.tuning.search_plan import SearchPlan
    from search.tuning.tuner import run_search
    from search.views.tensorboard_log import TensorBoardLogger
    from tests.made.studies import study_settings

    settings = study_settings(max_epochs=EPOCHS, patience=EPOCHS, scheduler="asha-promotion")
    space = unet_space(PROFILES["cpu"])
    plan = SearchPlan(
        folder=folder,
        settings=settings,
        space=space,
        sampler="forest",
        budget=trials,
        launcher=launcher,
        concurrent=2,
    )
    ledger = Ledger.create(folder)
    started = time.perf_counter()
    run_search(plan, ledger, no_op_loop, [TensorBoardLogger(folder, space, ("soil", "bedrock"))], Stopping(), Meter({}))
    seconds = time.perf_counter() - started
    assert len([record for record in ledger.records() if record.state in ("complete", "pruned")]) == trials
    return seconds / trials


def documented(trials: int, folder: Path) -> float:
    """Return the seconds per trial of Ray's pattern: a Tune function that fits a TorchTrainer with one worker."""
    import ray.train
    import ray.tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    def train_loop(config: dict[str, Any]) -> None:
        for epoch in range(EPOCHS):
            ray.train.report({"epoch": epoch + 1, "mean_iou": config["x"]})

    def trial(config: dict[str, Any]) -> None:
        TorchTrainer(
            train_loop,
            train_loop_config=config,
            scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.5}),
            run_config=ray.train.RunConfig(
                name=f"train-{ray.tune.get_context().get_trial_id()}",
                storage_path=str(folder),
                callbacks=[TuneReportCallback()],
            ),
        ).fit()

    started = time.perf_counter()
    ray.tune.Tuner(
        ray.tune.with_resources(trial, {"cpu": 0.5}),  # so that two trials and their workers fit on two cores
        param_space={"x": ray.tune.uniform(0, 1)},
        tune_config=ray.tune.TuneConfig(num_samples=trials, max_concurrent_trials=2, metric="mean_iou", mode="max"),
        run_config=ray.tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    return (time.perf_counter() - started) / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--group-trials", type=int, default=8)
    parser.add_argument("--documented-trials", type=int, default=4)
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

    from search.ray_cluster.session import start_ray
    from trainables.launching.launchers import InlineLauncher
    from trainables.launching.worker_groups import WorkersLauncher

    with tempfile.TemporaryDirectory() as folder:
        start_ray(dashboard=True)
        mine = ours(options.trials, Path(folder) / "study", InlineLauncher(cpus=1))
        groups = ours(options.group_trials, Path(folder) / "groups", WorkersLauncher(workers=1))
        theirs = documented(options.documented_trials, Path(folder) / "documented")
    print(f"\n{'engine':<44}{'trials':>8}{'s / trial':>12}{'ratio':>10}")
    print(f"{'this project (inline launcher)':<44}{options.trials:>8}{mine:>12.3f}{1:>10.1f}")
    for name, count, seconds in (
        ("this project (worker groups)", options.group_trials, groups),
        ("Ray Train in Ray Tune, as documented", options.documented_trials, theirs),
    ):
        print(f"{name:<44}{count:>8}{seconds:>12.3f}{seconds / mine:>10.1f}")


if __name__ == "__main__":
    main()
