"""Mutants of a module, and a seeded sample of them."""

from __future__ import annotations

import ast
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tests.mutation.operators import OPERATORS


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A module with one small change."""

    module: str
    """Path of the file from the root of the project."""
    operator: str
    line: int
    before: str
    """The original line, without its indentation."""
    after: str
    """The first line that differs, without its indentation; empty if the line is gone."""
    code: str
    """The whole mutated file."""

    @property
    def key(self) -> str:
        """A hash of the file and the change."""
        return hashlib.sha256(f"{self.module}\n{self.code}".encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.operator}\n    - {self.before}\n    + {self.after}"


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where an operator changes something, before the change is made."""

    operator: str
    occurrence: int
    """Index of the occurrence in the file, as Cosmic Ray counts."""
    position: tuple[int, int]


def spots(code: str) -> list[Spot]:
    """Return every place of a file that an operator may change, except in assertions and decorators."""
    tree = get_ast(code)
    nodes = list(ast_nodes(tree))
    found = []
    for name, operator in OPERATORS.items():
        occurrence = 0
        for node in nodes:
            for start, _ in operator().mutation_positions(node):
                if not _is_declared(node) and not _is_marker(node):
                    found.append(Spot(operator=name, occurrence=occurrence, position=start))
                occurrence += 1
    return found


def _is_declared(node: Any) -> bool:
    """Return whether the node is part of an assertion, or of a decorator such as `@dataclass(frozen=True)`."""
    while node is not None:
        if node.type in ("assert_stmt", "decorator"):
            return True
        node = node.parent
    return False


def _is_marker(node: Any) -> bool:
    """Return whether the node is the star of a signature, which arithmetic operators mistake for a product."""
    return node.parent is not None and node.parent.type == "parameters"


def mutants(module: str, root: Path, seed: int) -> Iterator[Mutant]:
    """Yield all mutants of a module in a seeded random order: one of each place before the second of any."""
    code = (root / module).read_text()
    meaning = _meaning(code)
    places: dict[tuple[int, int], list[Spot]] = {}
    for spot in spots(code):
        places.setdefault(spot.position, []).append(spot)
    chance = random.Random(f"{seed} {module}")
    for found in places.values():
        chance.shuffle(found)
    order = list(places.values())
    chance.shuffle(order)
    for turn in range(max(map(len, order), default=0)):
        for found in order:
            if turn < len(found):
                spot = found[turn]
                try:
                    mutated = mutate_code(code, OPERATORS[spot.operator](), spot.occurrence)
                except AttributeError:  # Cosmic Ray does not support dotted names in a tuple of exceptions
                    continue
                if mutated is not None and _meaning(mutated) not in (None, meaning):
                    yield _described(module, spot, code, mutated)


def _described(module: str, spot: Spot, code: str, mutated: str) -> Mutant:
    old, new = code.splitlines(), mutated.splitlines()
    same = next((row for row, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), len(new))
    gone = len(new) < len(old) and spot.operator == "DropArgument"
    return Mutant(
        module=module,
        operator=spot.operator,
        line=same + 1,
        before=old[same].strip(),
        after="" if gone else new[same].strip(),
        code=mutated,
    )


def _meaning(code: str) -> str | None:
    """Return a dump of the file's syntax tree without annotations; None if it is not valid Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


def sample(modules: list[str], root: Path, count: int, seed: int) -> list[Mutant]:
    """Draw `count` mutants of these modules together: in proportion to each module's places, but at least one each."""
    sizes = {module: len({spot.position for spot in spots((root / module).read_text())}) for module in modules}
    chosen: list[Mutant] = []
    left, places = count, sum(sizes.values())
    for module in modules:
        share = max(1, round(left * sizes[module] / places))
        left, places = left - share, places - sizes[module]
        drawn = mutants(module, root, seed)
        chosen += [mutant for mutant, _ in zip(drawn, range(share), strict=False)]
    return chosen
