"""Mutates modules, and measures how many of the mutants their quick tests detect.

    python -m tests.mutation                                     # 400 mutants of all modules; known results are reused
    python -m tests.mutation --modules search/tuning/recorder.py --count 40 --show

Results are kept in .mutants, so that an interrupted run resumes. A killed mutant is not tested again; one that survived
is tested again when a test of its module has changed. Mutants whose change no test could detect are listed in
equivalent.toml, each with its reason. They are not part of the score.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.mutation.modules import MODULES
from tests.mutation.mutants import Mutant, sample
from tests.mutation.runner import Job, Outcome, Slot, import_libraries, run_all

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
TARGET = 0.85


class Results:
    """The known result of each mutant, in a file with a line of JSON per result."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self._known: dict[str, dict[str, Any]] = {}
        for line in lines:
            entry = json.loads(line)
            self._known[entry["key"]] = entry

    def killed(self, mutant: Mutant) -> bool | None:
        """Return whether the mutant was killed; None if it must be tested.

        That is so if it was never tested, or survived tests that have changed since.
        """
        entry = self._known.get(mutant.key)
        if entry is None or (not entry["killed"] and entry["tests"] != digest(MODULES[mutant.module])):
            return None
        return bool(entry["killed"])

    def add(self, mutant: Mutant, outcome: Outcome) -> None:
        entry = {
            "key": mutant.key,
            "mutant": str(mutant),
            "killed": outcome.killed,
            "how": outcome.how,
            "seconds": round(outcome.seconds, 1),
            "tests": digest(MODULES[mutant.module]),
        }
        self._known[mutant.key] = entry
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def digest(tests: Sequence[str]) -> str:
    """Return a hash of the test files' contents."""
    found = hashlib.sha256()
    for name in tests:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found.update(file.read_bytes())
    return found.hexdigest()[:16]


def equivalents() -> list[dict[str, str]]:
    return tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])


def is_equivalent(mutant: Mutant, listed: Sequence[dict[str, str]]) -> bool:
    described = (mutant.module, mutant.before, mutant.after)
    return any((entry["module"], entry["before"], entry["after"]) == described for entry in listed)


def seconds_unmutated(console: Console, slots: Sequence[Slot], modules: Sequence[str]) -> dict[str, float]:
    """Return the seconds that the tests of each module take without a mutation.

    They must pass: otherwise they would kill every mutant.
    """
    suites = sorted({tuple(MODULES[module]) for module in modules})
    seconds: dict[tuple[str, ...], float] = {}

    def tell(job: Job, outcome: Outcome) -> None:
        console.print(f"{outcome.seconds:5.1f} s  unmutated  {' '.join(job.tests)}", markup=False, soft_wrap=True)
        if outcome.killed:
            raise SystemExit(f"these tests fail without any mutation:\n{outcome.output}")
        seconds[tuple(job.tests)] = outcome.seconds

    run_all([Job(mutant=None, tests=suite, expected_seconds=300) for suite in suites], slots, tell)
    return {module: seconds[tuple(MODULES[module])] for module in modules}


def table(chosen: Sequence[Mutant], results: Results, listed: Sequence[dict[str, str]]) -> tuple[Table, float]:
    """Return the results by module as a table, and the killed part of all mutants."""
    shown = Table(title="mutants", title_justify="left")
    shown.add_column("module")
    for column in ("mutants", "equivalent", "killed", "score"):
        shown.add_column(column, justify="right")
    sums = [0, 0, 0]
    for module in dict.fromkeys(mutant.module for mutant in chosen):
        own = [mutant for mutant in chosen if mutant.module == module]
        equivalent = sum(is_equivalent(mutant, listed) for mutant in own)
        killed = sum(bool(results.killed(mutant)) for mutant in own if not is_equivalent(mutant, listed))
        counts = [len(own), equivalent, killed]
        sums = [total + count for total, count in zip(sums, counts, strict=True)]
        shown.add_row(module, *map(str, counts), _percent(killed, len(own) - equivalent))
    shown.add_section()
    shown.add_row("all", *map(str, sums), _percent(sums[2], sums[0] - sums[1]))
    return shown, sums[2] / max(1, sums[0] - sums[1])


def _percent(killed: int, of: int) -> str:
    return f"{killed / of:.0%}" if of else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="mutants of all modules together (default: 400)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample (default: 0)")
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=list(MODULES), metavar="FILE")
    parser.add_argument("--slots", type=int, default=2, help="mutants tested concurrently (default: 2)")
    parser.add_argument("--show", action="store_true", help="print each surviving mutant as soon as it is found")
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutants", help="folder of the copies and results")
    options = parser.parse_args()

    console, listed = Console(highlight=False), equivalents()
    folder = options.folder.resolve()
    results = Results(folder / "results.jsonl")
    chosen = sample(options.modules, ROOT, options.count, options.seed)
    waiting = [mutant for mutant in chosen if not is_equivalent(mutant, listed) and results.killed(mutant) is None]
    console.print(f"{len(chosen)} mutants, {len(waiting)} of them to test")
    if waiting:
        import_libraries()
        slots = [Slot(folder / f"slot-{number}", ROOT) for number in range(options.slots)]
        seconds = seconds_unmutated(console, slots, sorted({mutant.module for mutant in waiting}))
        jobs = [Job(mutant=m, tests=MODULES[m.module], expected_seconds=seconds[m.module]) for m in waiting]
        tested = 0

        def tell(job: Job, outcome: Outcome) -> None:
            nonlocal tested
            assert job.mutant is not None
            tested += 1
            results.add(job.mutant, outcome)
            shown = str(job.mutant) if options.show and not outcome.killed else f"{job.mutant.module}:{job.mutant.line}"
            line = f"{tested:>4}/{len(waiting)} {outcome.seconds:5.1f} s  {outcome.how:<9}"
            console.print(line, shown, markup=False, soft_wrap=True)

        run_all(jobs, slots, tell)
    survived = [m for m in chosen if not is_equivalent(m, listed) and not results.killed(m)]
    for mutant in survived:
        console.print("survived", str(mutant), markup=False, soft_wrap=True)
    shown, score = table(chosen, results, listed)
    console.print(shown)
    if score < TARGET:
        raise SystemExit(f"{score:.0%} of the mutants were killed; the tests must kill at least {TARGET:.0%}")


if __name__ == "__main__":
    main()
