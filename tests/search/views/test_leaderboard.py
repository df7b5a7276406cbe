from __future__ import annotations

import io

import pytest
from rich.console import Console

from search.ledger.ranking import ranked
from search.views.leaderboard import leaderboard
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


def test_a_row_is_rank_trial_score_best_epoch_epochs_state_and_configuration():
    records = [
        trial_record(3, [0.25], state="pruned", params={"model.depth": 2}),
        trial_record(12, [0.5, 0.65432, 0.6], params={"model.depth": 3, "optimizer.lr": 0.00123}),
    ]
    table = leaderboard(records)
    assert [column.header for column in table.columns] == [
        "rank",
        "trial",
        "mean IoU",
        "best epoch",
        "epochs",
        "state",
        "configuration",
    ]
    assert cells(table) == [
        ("1", "0012", "0.6543", "2", "3", "complete", "depth 3, lr 0.00123"),
        ("2", "0003", "0.2500", "1", "1", "pruned", "depth 2"),
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


def test_the_table_says_what_is_ranked_and_fills_the_terminal_with_one_line_a_trial():
    records = [trial_record(number, [0.5], params={f"a.long_name_{i}": i for i in range(20)}) for number in range(2)]
    lines = printed(leaderboard(records), width=80)
    assert lines[0] == "best trials (mean IoU on the validation part)"
    # the title, a rule above and below the heading and below the rows, the heading, the rows and the caption
    assert len(lines) == 1 + 1 + 1 + 1 + 2 + 1 + 1
    assert all(len(line) == 80 for line in lines[1:-1])
    assert all(line.rstrip(" │").endswith("…") for line in lines[4:6])
    assert "│ long_name_0 0, l… │" in lines[4]


def test_numbers_stand_below_each_other_and_keep_their_room():
    """What does not fit is taken from the configuration first."""
    records = [trial_record(number, [0.5], params={"model.depth": 3}) for number in range(11)]
    lines = printed(leaderboard(records, top=11), width=66)
    assert lines[4] == "│    1 │  0000 │   0.5000 │          1 │      1 │ complete │ de… │"
    assert lines[14].startswith("│   11 │  0010 │")
