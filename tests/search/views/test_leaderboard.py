from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from search.ledger.ranking import ranked
from search.views.leaderboard import leaderboard
from search.views.parameter_columns import parameter_columns
from tests.made.records import trial_record


def printed(table, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def cells(table):
    """Every row of the table, as its columns hold it."""
    return list(zip(*(column.cells for column in table.columns), strict=True))


def test_the_best_comes_first_and_equal_ones_by_number():
    scores = {0: 0.3, 1: 0.5, 2: 0.3, 3: None, 4: 0.5, 5: 0.0}
    records = [trial_record(number, [score]) for number, score in scores.items()]
    assert [record.number for record in ranked(records)] == [1, 4, 0, 2, 5]
    assert [record.number for record in ranked(records[::-1])] == [1, 4, 0, 2, 5]


def test_a_trial_counts_with_its_best_epoch_in_whatever_state_it_is():
    records = [
        trial_record(0, [0.2, 0.9, 0.1], state="failed"),
        trial_record(1, [0.5, 0.6], state="running"),
        trial_record(2, [0.7], state="pruned"),
        trial_record(3, [], state="failed"),
    ]
    assert [record.number for record in ranked(records)] == [0, 2, 1]
    assert ranked([]) == []


def test_a_row_is_rank_trial_score_best_epoch_epochs_state_and_the_parameters_that_differ():
    records = [
        trial_record(3, [0.25], state="pruned", params={"model.depth": 2, "optimizer.name": "sgd"}),
        trial_record(
            12, [0.5, 0.65432, 0.6], params={"model.depth": 2, "optimizer.name": "adam", "optimizer.lr": 0.00123}
        ),
    ]
    table = leaderboard(records)
    heads = [column.header for column in table.columns]
    assert heads == ["rank", "trial", "mean\nIoU", "best\nepoch", "epochs", "state", "optimizer", "lr"]
    assert cells(table) == [
        ("1", "0012", "0.6543", "2", "3", "complete", "adam", "0.00123"),
        ("2", "0003", "0.2500", "1", "1", "pruned", "sgd", "-"),
    ]


@pytest.mark.parametrize(("top", "shown"), [({}, 10), ({"top": 3}, 3), ({"top": 20}, 12)])
def test_only_so_many_of_the_best_are_shown(top, shown):
    records = [trial_record(number, [number / 100]) for number in range(12)]
    table = leaderboard(records, **top)
    numbers = [row[1] for row in cells(table)]
    assert numbers == [f"{number:04d}" for number in range(11, 11 - shown, -1)]
    assert [row[0] for row in cells(table)] == [str(rank) for rank in range(1, shown + 1)]


def test_the_caption_counts_every_trial_also_those_that_are_not_shown():
    states = ["complete", "failed", "complete", "running"]
    records = [trial_record(number, [0.1] if number < 1 else [], state=state) for number, state in enumerate(states)]
    assert leaderboard(records, top=1).caption == "2 complete, 1 failed, 1 running"


def records_that_differ(count, parameters=("model.depth", "loss.long_name_of_it", "loss.name")):
    """Trials that have another value of each parameter."""
    return [trial_record(number, [0.5], params=dict.fromkeys(parameters, f"value {number}")) for number in range(count)]


@pytest.mark.parametrize(
    ("width", "shown", "note"),
    [
        (52, [], "3 more parameters differ: a wider terminal (or COLUMNS=104) shows more"),
        (53, ["depth"], "2 more parameters differ: a wider terminal (or COLUMNS=106) shows more"),
        (70, ["depth", "long name of it"], "1 more parameter differs: a wider terminal (or COLUMNS=140) shows more"),
        (71, ["depth", "long name of it", "loss"], None),
    ],
)
def test_as_many_parameters_as_fit_are_columns_and_the_rest_is_counted(width, shown, note):
    """Every trial has one line, whose values are never cut."""
    table = leaderboard(records_that_differ(2), width=width)
    assert [column.header.replace("\n", " ") for column in table.columns[6:]] == shown
    assert table.caption == "2 complete" + (f"\n{note}" if note else "")
    lines = printed(table, width=width)
    assert lines[0] == "best trials (mean IoU on the validation part)"
    rows = [line for line in lines if re.match(r" +\d+ ", line)]
    assert [row.count("value") for row in rows] == [len(shown)] * 2
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)


def test_numbers_stand_below_each_other():
    records = [trial_record(number, [0.5], params={"model.depth": number}) for number in range(11)]
    lines = printed(leaderboard(records, top=11), width=66)
    assert lines[4] == "   1   0000  0.5000      1       1  complete  0"
    assert lines[14].startswith("  11   0010")


def test_the_parameters_with_the_most_different_values_come_first():
    values = [("adam", 3, 0.1), ("adam", 4, 0.2), ("sgd", 3, 0.3)]
    records = [
        trial_record(number, [0.5], params={"a.name": name, "b.depth": depth, "c.rate": rate, "d.same": 1})
        for number, (name, depth, rate) in enumerate(values)
    ]
    columns = parameter_columns(records)
    assert [column.name for column in columns] == ["c.rate", "a.name", "b.depth"]
    assert [column.label for column in columns] == ["rate", "a", "depth"]
    assert [column.cells for column in columns] == [("0.1", "0.2", "0.3"), ("adam", "adam", "sgd"), ("3", "4", "3")]


def test_two_parameters_with_one_label_have_their_whole_names():
    records = [trial_record(number, params={"a.rate": number, "b.rate": -number}) for number in range(2)]
    assert [column.label for column in parameter_columns(records)] == ["a.rate", "b.rate"]


def test_of_a_single_trial_every_parameter_is_a_column():
    [column] = parameter_columns([trial_record(0, params={"a.rate": 1})])
    assert (column.label, column.cells) == ("rate", ("1",))
    assert parameter_columns([]) == []
