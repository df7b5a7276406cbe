"""The parameters in which trials differ, as columns of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from search.formatting import parameter_label, parameter_value
from search.ledger.records import TrialRecord

ABSENT = "-"


@dataclass(frozen=True)
class ParameterColumn:
    """One parameter of several trials."""

    name: str
    """Name of the parameter in the space."""
    label: str
    """The name as people are shown it, unless another parameter of these trials would be shown the same."""
    cells: tuple[str, ...]
    """Its formatted value in each trial, ABSENT where it does not exist."""


def parameter_columns(records: Sequence[TrialRecord]) -> list[ParameterColumn]:
    """Return a column for each parameter in which the trials differ; of a single trial, for each that it has.

    The parameter with the most different values comes first; equal ones keep the order of the space.
    """
    names = list(dict.fromkeys(name for record in records for name in record.params))
    labels = Counter(map(parameter_label, names))
    columns = []
    for name in names:
        cells = tuple(parameter_value(record.params[name]) if name in record.params else ABSENT for record in records)
        label = parameter_label(name) if labels[parameter_label(name)] == 1 else name
        columns.append(ParameterColumn(name, label, cells))
    differing = [column for column in columns if len(set(column.cells)) > 1 or len(records) == 1]
    return sorted(differing, key=lambda column: -len(set(column.cells)))
