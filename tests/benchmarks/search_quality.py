"""The best score that a search has found after a number of epochs, compared between this project and other libraries.

    python -m tests.benchmarks.search_quality [--methods ours stock ...] [--seeds 30]

There are three tasks of 20 to 23 parameters, some of them conditional, and any study of this project:

- digits: small networks on scikit-learn's digits with wrong labels.
- photo: coordinate networks that learn a photograph.
- segments: small U-Nets and other networks that learn to segment a photograph from 40 windows of it.

  All three train real networks. Recorded or modelled learning curves could favour methods with a similar model.
- `--studies RUN`: the space of a study whose trials had 27 epochs, with `search.simulation.surrogate` for
  configurations that were not recorded:

    python search/run.py --sampler random --max-epochs 27 --grace-epochs 27 --patience 27 ...

A search has 40 times the epochs of a whole trial. Four trials at a time run in virtual time, in which an epoch takes
0.5 to 1.5 seconds. Scores are those that the search receives. A seed determines the search and its trainings. Each
result is saved when it is there, so that the same command continues where it was stopped.

`--methods syne-asha syne-bohb` also need Syne Tune (`pip install "syne-tune[kde]"`), preferably in a
separate environment. Use the same file of results there: the tables show everything in it.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from search.ledger.ledger import Ledger
from search.ledger.ranking import ranked
from search.sampling.warm_start import TAKEN_OVER
from search.simulation.curves import recorded
from search.simulation.simulator import Simulation, Trace, simulate
from search.simulation.surrogate import Surrogate, simulated_reports
from search.study.settings import StudySettings
from search.study.space import Scalar, Space
from tests.benchmarks.tasks.rivals import Ray, Rival, SyneTune, Train, best_so_far
from tests.made.studies import study_settings

MAX_EPOCHS, EPOCHS, SLOTS = 27, 27 * 40, 4
TASKS = ("digits", "photo", "segments")

LAST: dict[str, Any] = {"sampler": "forest", "scheduler": "asha-promotion", "rung_metric": "last"}
OURS: dict[str, dict[str, Any]] = {
    "ours": LAST | {"rung_metric": "best"},
    "last score at rungs": LAST,
    "last, average at rungs": LAST | {"rung_metric": "ema"},
    "last, from a related study": LAST | {"start_from_related": True},
    "last, stopping": LAST | {"scheduler": "asha-stopping"},
    "last, TPE": LAST | {"sampler": "tpe"},
    "last, mixture": LAST | {"sampler": "mixture"},
    "last, random": LAST | {"sampler": "random"},
    "last, TPE, stopping": LAST | {"sampler": "tpe", "scheduler": "asha-stopping"},
    "TPE, whole trials": LAST | {"sampler": "tpe", "scheduler": "asha-stopping", "grace_epochs": MAX_EPOCHS},
}
"""Settings of this project's searches; most differ from another one in a single setting."""
RIVALS: dict[str, Callable[[Space, int], Rival]] = {
    "stock": lambda space, seed: Ray(space, seed, MAX_EPOCHS),
    "random+ASHA": lambda space, seed: Ray(space, seed, MAX_EPOCHS, random=True),
    "syne-asha": lambda space, seed: SyneTune(space, seed, MAX_EPOCHS, name="ASHA"),
    "syne-bohb": lambda space, seed: SyneTune(space, seed, MAX_EPOCHS, name="BOHB"),
}


def search(task: str, method: str, seed: int) -> list[float]:
    """Run one search, and return the best score so far after each epoch."""
    space, train = _task(task, seed)
    if method in RIVALS:
        return best_so_far(RIVALS[method](space, seed), train, epochs=EPOCHS, slots=SLOTS)
    choice = dict(OURS[method])
    points = []
    if choice.pop("start_from_related", False):
        _, train_related = _task(task, seed, related=True)
        earlier, _ = _ours(space, train_related, seed, **choice)
        points = [record.params for record in ranked(earlier.records())[:TAKEN_OVER]]
    return _ours(space, train, seed, points, **choice)[1]


def _ours(
    space: Space, train: Train, seed: int, points: Sequence[dict[str, Any]] = (), **choice: Any
) -> tuple[Ledger, list[float]]:
    sampler, values = choice.pop("sampler"), vars(study_settings(seed=seed, max_epochs=MAX_EPOCHS, **choice))
    simulation = Simulation(
        settings=_Settings(**values), space=space, sampler=sampler, trials=EPOCHS, slots=SLOTS, epochs=EPOCHS
    )
    trace, ledger = Trace(), Ledger.in_memory()
    ledger.enqueue(points)
    simulate(
        simulation,
        lambda record: simulated_reports(
            train(record.params, record.number), max_epochs=MAX_EPOCHS, patience=MAX_EPOCHS
        ),
        ledger,
        [trace],
    )
    return ledger, trace.best[:EPOCHS]


class _Settings(StudySettings):
    def whole_config(self, chosen: dict[str, Any]) -> dict[str, Any]:
        return chosen  # the space is not one of U-Nets


def _task(name: str, seed: int, *, related: bool = False) -> tuple[Space, Train]:
    if name not in TASKS:
        return _modelled(Path(name), seed)
    torch.set_num_threads(1)
    module = importlib.import_module(f"tests.benchmarks.tasks.{name}")

    def train(params: Mapping[str, Scalar], number: int) -> Iterator[tuple[float, float]]:
        pace = _pace(params)
        for score in module.train(params, MAX_EPOCHS, seed=1000 * seed + number, related=related):
            yield score, pace

    return module.SPACE, train


def _pace(params: Mapping[str, Scalar]) -> float:
    """Return the virtual seconds of an epoch."""
    return 0.5 + zlib.crc32(json.dumps(dict(params), sort_keys=True).encode()) % 1000 / 1000


@functools.cache
def _surrogate(study: Path) -> Surrogate:
    settings, curves = recorded([study])
    if settings.max_epochs != MAX_EPOCHS:
        raise ValueError(f"{study}: its trials have {settings.max_epochs} epochs, they must have {MAX_EPOCHS}")
    return Surrogate(settings.search_space(), curves, max_epochs=MAX_EPOCHS, patience=MAX_EPOCHS)


def _modelled(study: Path, seed: int) -> tuple[Space, Train]:
    surrogate = _surrogate(study)

    def train(params: Mapping[str, Scalar], number: int) -> Iterator[tuple[float, float]]:
        pace = _pace(params)
        for report in surrogate.reports(surrogate.space.existing(params), seed):
            yield report.score or 0.0, pace

    return surrogate.space, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = (*OURS, *RIVALS)
    parser.add_argument("--methods", nargs="*", choices=known, default=["ours", "stock", "random+ASHA"])
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=TASKS)
    parser.add_argument("--studies", nargs="*", type=Path, default=[])
    parser.add_argument("--baseline", choices=known, default="stock", help="the method that the tables compare with")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("search_quality.jsonl"))
    options = parser.parse_args()
    tasks = [*options.tasks, *map(str, options.studies)]
    results = _read(options.results)
    missing = [
        (task, method, seed)
        for seed in range(options.seeds)
        for task in tasks
        for method in options.methods
        if (task, method, seed) not in results
    ]
    context = get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool, options.results.open("a") as file:
        pending = {pool.submit(search, *run): run for run in missing}
        try:
            for count, future in enumerate(as_completed(pending), start=1):
                results[pending[future]] = future.result()
                file.write(json.dumps([*pending[future], future.result()]) + "\n")
                file.flush()
                print(f"{count} of {len(missing)}: {' '.join(map(str, pending[future]))}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for task in tasks:
        found = {method: _of(results, task, method, options.seeds) for method in known}
        show(task, found, options.baseline, options.results.with_suffix(""))


def _read(path: Path) -> dict[tuple[str, str, int], list[float]]:
    rows = map(json.loads, path.read_text().splitlines()) if path.is_file() else ()
    return {(task, method, seed): best for task, method, seed, best in rows}


def _of(results: dict[tuple[str, str, int], list[float]], task: str, method: str, seeds: int) -> np.ndarray:
    """Return the results (seeds, epochs) of the first seeds, up to the first one that is missing."""
    runs = (results.get((task, method, seed)) for seed in range(seeds))
    return np.array(list(itertools.takewhile(lambda best: best is not None, runs)))


def epochs_to(best: np.ndarray, target: float) -> int | None:
    """Return the epochs after which the median over searches has reached the target; None if it never has."""
    reached = np.flatnonzero(np.median(best, axis=0) >= target)
    return int(reached[0]) + 1 if len(reached) else None


def interval(best: np.ndarray, baseline: np.ndarray) -> str:
    """Return the 95 % interval of `epochs_to` the baseline's final median, as a part of EPOCHS.

    It is a bootstrap interval over the seeds of both methods.
    """
    random, parts = np.random.default_rng(0), []
    for _ in range(RESAMPLED):
        ours, theirs = (rows[random.integers(0, len(rows), len(rows))] for rows in (best, baseline))
        parts.append((epochs_to(ours, float(np.median(theirs[:, -1]))) or np.inf) / EPOCHS)
    low, high = np.quantile(parts, (0.025, 0.975), method="nearest")
    return f"{low:.2f} to {high:.2f}" if np.isfinite(high) else f"{low:.2f} to never"


RESAMPLED = 1000


def show(task: str, found: dict[str, np.ndarray], baseline: str, picture: Path) -> None:
    found = {method: best for method, best in found.items() if len(best)}
    if baseline not in found:
        return
    beside = found[baseline]
    target = float(np.median(beside[:, -1]))
    print(f"\n{task}: median and quartiles of the best score so far; the median of {baseline} ends at {target:.4f}")
    parts = (0.1, 0.25, 0.5, 1.0)
    print(
        f"{'':28}{'seeds':>6}"
        + "".join(f"{f'{int(part * EPOCHS)} epochs':>27}" for part in parts)
        + f"{'reached behind part':>22}{'ends higher':>13}"
    )
    for method, best in found.items():
        cells = []
        for part in parts:
            low, median, high = np.quantile(best[:, int(part * EPOCHS) - 1], (0.25, 0.5, 0.75))
            cells.append(f"{median:.4f} ({low:.4f} to {high:.4f})")
        epochs = epochs_to(best, target)
        spread = "" if method == baseline else f", {interval(best, beside)}"
        ratio = "-" if epochs is None else f"{epochs / EPOCHS:.2f}{spread}"
        pairs = min(len(best), len(beside))
        higher = f"{int((best[:pairs, -1] > beside[:pairs, -1]).sum())} of {pairs}"
        print(f"{method:28}{len(best):>6}" + "".join(f"{cell:>27}" for cell in cells) + f"{ratio:>22}{higher:>13}")
    _draw(task, found, target, picture.with_name(f"{picture.name}-{Path(task).name}.png"))


def _draw(task: str, found: dict[str, np.ndarray], target: float, path: Path) -> None:
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    epochs = np.arange(1, EPOCHS + 1)
    for method, best in found.items():
        low, median, high = np.quantile(best, (0.25, 0.5, 0.75), axis=0)
        (line,) = axes.plot(epochs, median, label=method)
        axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.axhline(target, color="grey", linewidth=0.8, linestyle=":")
    low = min(np.median(best[:, EPOCHS // 20]) for best in found.values())
    axes.set(title=task, xlabel="epochs spent", ylabel="best score so far, median and quartiles", ylim=(low, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
