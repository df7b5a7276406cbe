"""The leaderboard's file row by row, of trials made by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from reports.output.leaderboard_files import leaderboard_table, write_leaderboard
from search.ledger.records import Segment
from tests.made.records import trial_record
from tests.made.studies import epoch_report
from tests.reports.made_runs import made_facts

SEGMENTS = (
    Segment(start_seconds=3.0, wait_seconds=0.5, cpus=1.0, gpus=0.0),
    Segment(start_seconds=4.0, wait_seconds=0.25, cpus=1.0, gpus=0.0),
)


def epoch(number, score, **changes):
    """The classes are told from each other, and epochs by everything that is shown of them."""
    values = {
        "class_iou": {"soil": score, "big rock": score / 2},  # no sand: it is neither in the masks nor predicted
        "val_loss": 1.0 / number,
        "train_seconds": 10.0 * number,
        "val_seconds": 1.0 * number,
        "checkpoint_seconds": 0.125 * number,
        "parameters": 1000 + number,
    }
    return epoch_report(number, score, **values | changes)


def rows(folder, *records):
    return leaderboard_table(made_facts(folder, list(records))).to_pylist()


def test_a_scored_trial_is_shown_by_its_best_epoch_and_all_its_seconds(tmp_path):
    reports = (epoch(1, 0.2), epoch(2, 0.6), epoch(3, 0.4), epoch(4, 0.5))
    params = {"model.depth": 3, "model.dropout": 0.125, "optimizer.name": "sgd", "optimizer.sgd_lr": 0.05}
    record = trial_record(7, reports=reports, segments=SEGMENTS, params=params, state="pruned")
    (row,) = rows(tmp_path, record)
    known = {name: value for name, value in row.items() if value is not None}
    assert known == {
        "rank": 1,
        "trial": 7,
        "state": "pruned",
        "mean_iou": 0.6,
        "best_epoch": 2,
        "epochs": 4,
        "iou soil": 0.6,
        "iou big rock": 0.3,
        "val_loss": 0.5,
        "parameters": 1002,
        "queueing seconds": 0.0,
        "start-up seconds": 7.0,
        "training seconds": 100.0,
        "validation seconds": 10.0,
        "checkpoints seconds": 1.25,
        "waiting seconds": 0.75,
        **params,
    }
    assert {"iou sand", "optimizer.lr", "error"} <= row.keys()


def test_a_trial_without_a_score_has_neither_rank_nor_metrics(tmp_path):
    error = "Traceback\n  line 3\nRuntimeError: boom"
    failed = trial_record(2, reports=(epoch(1, 0.9, ended="diverged"),), state="failed", error=error)
    (row,) = rows(tmp_path, failed)
    known = {name: value for name, value in row.items() if value is not None}
    assert known == {
        "trial": 2,
        "state": "failed",
        "epochs": 1,
        "error": "RuntimeError: boom",
        "queueing seconds": 0.0,
        "start-up seconds": 0.0,
        "training seconds": 10.0,
        "validation seconds": 1.0,
        "checkpoints seconds": 0.125,
        "waiting seconds": 0.0,
    }


def test_ranks_go_by_score_ties_and_the_rest_by_number(tmp_path):
    scores = {0: None, 1: 0.3, 2: 0.5, 3: None, 4: 0.5, 5: 0.3, 6: 0.0}
    table = rows(tmp_path, *(trial_record(number, [score]) for number, score in scores.items()))
    assert [(row["rank"], row["trial"]) for row in table] == [
        (1, 2),
        (2, 4),
        (3, 1),
        (4, 5),
        (5, 6),
        (None, 0),
        (None, 3),
    ]


def test_columns_are_in_the_order_of_interest(tmp_path):
    facts = made_facts(tmp_path, [trial_record(0, [0.5])])
    parameters = [parameter.name for parameter in facts.space.parameters]
    assert leaderboard_table(facts).column_names == [
        "rank",
        "trial",
        "state",
        "mean_iou",
        "best_epoch",
        "epochs",
        "iou soil",
        "iou sand",
        "iou big rock",
        "val_loss",
        "parameters",
        "queueing seconds",
        "start-up seconds",
        "training seconds",
        "validation seconds",
        "checkpoints seconds",
        "waiting seconds",
        *parameters,
        "error",
    ]


@pytest.mark.parametrize(
    ("space", "column", "kind"),
    [
        ("default", "rank", pa.int64()),
        ("default", "trial", pa.int64()),
        ("default", "state", pa.string()),
        ("default", "mean_iou", pa.float64()),
        ("default", "best_epoch", pa.int64()),
        ("default", "epochs", pa.int64()),
        ("default", "iou sand", pa.float64()),
        ("default", "val_loss", pa.float64()),
        ("default", "parameters", pa.int64()),
        ("default", "waiting seconds", pa.float64()),
        ("default", "model.block", pa.string()),
        ("default", "model.depth", pa.int64()),
        ("default", "model.deep_supervision", pa.float64()),
        ("default", "optimizer.lr", pa.float64()),
        ("wide", "loss.learn_ignored", pa.bool_()),
        ("systems", "training.seed", pa.int64()),
        ("systems", "system", pa.string()),
    ],
)
def test_a_column_has_the_type_of_what_is_in_it_also_when_it_is_empty(space, column, kind, tmp_path):
    assert leaderboard_table(made_facts(tmp_path, [], space=space)).schema.field(column).type == kind


def test_both_files_are_in_the_report_and_say_the_same(tmp_path):
    facts = made_facts(tmp_path, [trial_record(0, [0.5]), trial_record(1, [0.75])])
    facts.output.mkdir()
    paths = write_leaderboard(facts)
    assert paths == [tmp_path / "report" / "leaderboard.csv", tmp_path / "report" / "leaderboard.parquet"]
    assert csv.read_csv(paths[0]).column("mean_iou").to_pylist() == [0.75, 0.5]
    assert parquet.read_table(paths[1]).column("mean_iou").to_pylist() == [0.75, 0.5]
