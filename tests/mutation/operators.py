"""The mutation operators: Cosmic Ray's, and others for statements and arguments that it lacks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import parso
from cosmic_ray.operators import (
    binary_operator_replacement,
    boolean_replacer,
    break_continue,
    comparison_operator_replacement,
    exception_replacer,
    number_replacer,
    unary_operator_replacement,
    zero_iteration_for_loop,
)
from cosmic_ray.operators.operator import Operator

Position = tuple[tuple[int, int], tuple[int, int]]

NEIGHBOURS = {
    "Add": ["Sub"],
    "Sub": ["Add"],
    "Mul": ["Div"],
    "Div": ["Mul", "FloorDiv"],
    "FloorDiv": ["Div", "Mul"],
    "Mod": ["FloorDiv"],
    "Pow": ["Mul"],
    "BitOr": ["BitAnd"],
    "BitAnd": ["BitOr"],
    "Lt": ["LtE", "GtE"],
    "LtE": ["Lt", "Gt"],
    "Gt": ["GtE", "LtE"],
    "GtE": ["Gt", "Lt"],
    "Eq": ["NotEq"],
    "NotEq": ["Eq"],
    "Is": ["IsNot"],
    "IsNot": ["Is"],
}
"""Replacements that could be typing mistakes. Cosmic Ray has others too, such as + to <<, which any test detects."""
SWAPPED_NAMES = {
    "max": "min",
    "min": "max",
    "any": "all",
    "all": "any",
    "round": "int",
    "int": "round",
    "argmax": "argmin",
    "argmin": "argmax",
    "bisect_left": "bisect_right",
    "floor": "ceil",
    "ceil": "floor",
    "mean": "sum",
    "fmean": "sum",
    "sum": "max",
}


class DeleteStatement(Operator):
    """Replaces a call, an assignment to an attribute or an item, an augmented assignment, `del` or `raise` by `pass`.

    Assignments to plain names stay: without one, the next line raises a NameError.
    """

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "simple_stmt" and self._is_deletable(node.children[0]):
            yield node.start_pos, node.end_pos

    @staticmethod
    def _is_deletable(statement: Any) -> bool:
        if statement.type in ("del_stmt", "raise_stmt"):
            return True
        if statement.type == "expr_stmt":
            target, following = statement.children[:2]
            return target.type == "atom_expr" or (following.type == "operator" and following.value != "=")
        return statement.type == "atom_expr"

    def mutate(self, node: Any, index: int) -> Any:
        nothing = parso.parse("pass\n").children[0]
        nothing.get_first_leaf().prefix = node.get_first_leaf().prefix
        return nothing

    @classmethod
    def examples(cls) -> Iterable[Any]:
        return ()


class DropArgument(Operator):
    """Removes one keyword argument of a call, so that its default applies."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "arglist" and node.parent.type == "trailer":
            for argument in self._keywords(node):
                yield argument.start_pos, argument.end_pos

    @staticmethod
    def _keywords(node: Any) -> list[Any]:
        return [child for child in node.children if child.type == "argument" and child.children[1] == "="]

    def mutate(self, node: Any, index: int) -> Any:
        place = node.children.index(self._keywords(node)[index])
        del node.children[place : place + 2]  # with the comma after it
        return node

    @classmethod
    def examples(cls) -> Iterable[Any]:
        return ()


class SwapName(Operator):
    """Replaces a function by its opposite or by a similar one, such as `max` by `min`, or `round` by `int`."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "name" and node.value in SWAPPED_NAMES and self._is_called(node):
            yield node.start_pos, node.end_pos

    @staticmethod
    def _is_called(node: Any) -> bool:
        following = node.get_next_leaf()
        return following is not None and following.value == "(" and node.parent.type != "funcdef"

    def mutate(self, node: Any, index: int) -> Any:
        node.value = SWAPPED_NAMES[node.value]
        return node

    @classmethod
    def examples(cls) -> Iterable[Any]:
        return ()


class EmptyReturn(Operator):
    """Returns None instead of a value."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "return_stmt" and node.children[1] != "None":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[1:] = [parso.python.tree.Keyword("None", node.children[1].start_pos, " ")]
        return node

    @classmethod
    def examples(cls) -> Iterable[Any]:
        return ()


def _neighbouring(operators: Iterable[type[Operator]]) -> Iterator[type[Operator]]:
    for operator in operators:
        *_, old, new = operator.__name__.split("_")
        if new in NEIGHBOURS.get(old, ()):
            yield operator


OPERATORS: dict[str, type[Operator]] = {
    operator.__name__: operator
    for operator in itertools.chain(
        _neighbouring(binary_operator_replacement.operators()),
        _neighbouring(comparison_operator_replacement.operators()),
        [operator for operator in unary_operator_replacement.operators() if "_Delete_" in operator.__name__],
        [
            boolean_replacer.AddNot,
            boolean_replacer.ReplaceTrueWithFalse,
            boolean_replacer.ReplaceFalseWithTrue,
            boolean_replacer.ReplaceAndWithOr,
            boolean_replacer.ReplaceOrWithAnd,
            break_continue.ReplaceBreakWithContinue,
            break_continue.ReplaceContinueWithBreak,
            exception_replacer.ExceptionReplacer,
            number_replacer.NumberReplacer,
            zero_iteration_for_loop.ZeroIterationForLoop,
            DeleteStatement,
            DropArgument,
            EmptyReturn,
            SwapName,
        ],
    )
}
