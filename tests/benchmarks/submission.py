"""Seconds and memory of writing the submission, compared with `pandas.to_csv` of the same predictions.

Each way runs in its own process, so that its peak memory is measured separately. Predictions come in batches, as from a
model. The submission is also checked, which the file of pandas is not.

    python -m tests.benchmarks.submission [--images 10022]
"""

from __future__ import annotations

import argparse
import filecmp
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

PIXELS, BATCH, CLASSES = 64 * 128, 64, 5


def batches(images: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for start in range(0, images, BATCH):
        yield rng.integers(1, CLASSES, (min(BATCH, images - start), 64, 128), dtype=np.uint8)


def ours(path: Path, images: int) -> None:
    from reports.submission_csv import write_submission

    write_submission(path, batches(images), PIXELS)


def ours_checked(path: Path, images: int) -> None:
    from reports.submission_csv import check_submission

    ours(path, images)
    check_submission(path, rows=images, pixels=PIXELS, classes=CLASSES, refused=0)


def pandas_to_csv(path: Path, images: int) -> None:
    import pandas as pd

    labels = np.concatenate([batch.reshape(len(batch), PIXELS) for batch in batches(images)])
    pd.DataFrame(labels).to_csv(path, index_label="id")


def nothing(path: Path, images: int) -> None:
    """Make the predictions without writing them, which all ways have to do."""
    import pandas as pd  # noqa: F401

    import reports.submission_csv  # noqa: F401

    for _ in batches(images):
        pass


def _measure(way: Callable[[Path, int], None], path: Path, images: int, result: Connection) -> None:
    way(path, 1)  # imports
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    way(path, images)
    seconds = time.perf_counter() - started
    result.send((seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def measure(way: Callable[[Path, int], None], path: Path, images: int) -> tuple[float, float]:
    """Return (seconds, MiB of memory beyond that of the imports)."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(way, path, images, there))
    process.start()
    there.close()
    seconds, memory = here.recv()
    process.join()
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_022)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.csv" for name in ("nothing", "ours", "checked", "pandas")]
        ways = (nothing, ours, ours_checked, pandas_to_csv)
        names = ("(making the predictions only)", "this project", "this project, written and checked", "pandas.to_csv")
        results = [measure(way, path, images) for way, path in zip(ways, paths, strict=True)]
        same = filecmp.cmp(paths[1], paths[3], shallow=False)
        size = paths[1].stat().st_size / 2**20
    floor, slowest = results[0][0], results[3][0]
    print(
        f"{images} predictions of 64x128, a file of {size:.0f} MiB; both files are {'equal' if same else 'DIFFERENT'}"
    )
    print(f"{'':<36}{'seconds':>9}{'writing':>9}{'times faster':>14}{'MiB':>8}")
    for name, (seconds, memory) in zip(names, results, strict=True):
        writing = seconds - floor
        ratio = f"{(slowest - floor) / writing:>14.1f}" if writing > 0 else " " * 14
        print(f"{name:<36}{seconds:>9.2f}{writing:>9.2f}{ratio}{memory:>8.0f}")


if __name__ == "__main__":
    main()
