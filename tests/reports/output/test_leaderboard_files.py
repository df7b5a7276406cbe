from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from reports.output.leaderboard_files import leaderboard_table, write_leaderboard


def test_both_files_hold_every_trial_best_first(facts):
    facts.output.mkdir()
    csv_path, parquet_path = write_leaderboard(facts)
    rows = parquet.read_table(parquet_path).to_pylist()
    assert csv.read_csv(csv_path).num_rows == len(rows) == 5
    assert [row["trial"] for row in rows[3:]] == [3, 4]
    assert [row["rank"] for row in rows] == [1, 2, 3, None, None]
    scores = [row["mean_iou"] for row in rows[:3]]
    assert scores == sorted(scores, reverse=True)
    first = facts.best
    assert rows[0]["mean_iou"] == pytest.approx(first.score)
    assert rows[0]["iou soil"] == pytest.approx(first.best.class_iou["soil"])
    for parameter in facts.space.parameters:
        assert rows[0][parameter.name] == first.params.get(parameter.name), parameter.name
    assert rows[3]["error"] == "RuntimeError: <b>boom</b>"
    assert rows[3]["state"] == "failed"


def test_the_types_are_the_spaces_not_the_trials(facts):
    schema = leaderboard_table(facts).schema
    assert schema == leaderboard_table(dataclasses.replace(facts, records=facts.records[:1])).schema
    assert pa.null() not in schema.types
    assert schema.field("model.width").type == pa.int64()
    assert schema.field("model.dropout").type == pa.float64()
    assert schema.field("error").type == pa.string()
