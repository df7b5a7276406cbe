"""The tables of the reports as they are printed, and the file of them; runs and scores are made up."""

from __future__ import annotations

import csv
import dataclasses

import pytest

from reports.output.systems_comparison import EFFECTS, Spread, rows_of, terminal_tables, write_systems
from search.study.systems import SYSTEMS
from tests.made.records import check_fixed
from tests.made.studies import epoch_report
from tests.reports.made_runs import made_facts, scores, system_run
from trainables.data import MARS


def reports(count, **changes):
    return tuple(
        epoch_report(epoch, **{"train_seconds": 2.0, "val_seconds": 0.5} | changes) for epoch in range(1, count + 1)
    )


def x_run(suppressed, as_predicted, epochs):
    # The first report has another number of parameters: the model that is scored is the last one's.
    told = (dataclasses.replace(reports(1)[0], parameters=5), *reports(epochs, parameters=1_234_567)[1:])
    return system_run("b-unet3", suppressed, as_predicted, reports=told)


RUNS = [
    x_run(scores(0.50, soil=0.8, sand=0.2), scores(0.40), 3),
    system_run("b-fusion", scores(0.61), scores(0.62), reports=reports(2)),
    x_run(scores(0.54, **{"soil": 0.6, "big rock": 0.25}), scores(0.46), 6),
    system_run("a-ce", scores(0.70), scores(0.10), reports=reports(1)),
]


@pytest.fixture
def facts(tmp_path):
    facts = made_facts(tmp_path, [run.record for run in RUNS])
    facts.output.mkdir()
    return facts


def cells(table):
    return list(zip(*(column.cells for column in table.columns), strict=True))


def test_a_table_for_each_report_with_a_row_a_system(facts):
    first, second = terminal_tables(facts, rows_of(RUNS))
    assert first.title == "report-a: U-Net of 32 to 512 filters, horizontal flips, early stopping with patience 30"
    assert second.title.startswith("report-b: U-Net of 2 to 4 blocks")
    headers = ["system", "their IoU %", "ours", "as predicted", "big rock", "parameters", "epochs", "seconds"]
    for table in (first, second):
        assert [str(column.header) for column in table.columns] == headers
        assert [column.justify for column in table.columns] == ["left"] + ["right"] * 7
        assert table.title_justify == "left"
    assert cells(first) == [("a-ce", "43.89 validation", "70.00", "10.00", "none", "1,000", "1", "2")]
    assert cells(second) == [
        # sd of .50, .54: .04 / sqrt(2); of .40, .46: .06 / sqrt(2); big rock: (0 + 25) / 2; 4.5 epochs of 2.5 s
        (
            "b-unet3",
            "52.26 local test, 47.76 leaderboard",
            "52.00 ± 2.83",
            "43.00 ± 4.24",
            "25.0",
            "1,234,567",
            "4",
            "11",
        ),
        ("b-fusion", "-", "61.00", "62.00", "none", "1,000", "2", "5"),
    ]


def test_a_report_none_of_whose_systems_was_run_has_no_table(facts):
    (table,) = terminal_tables(facts, rows_of(RUNS[3:]))
    assert table.title.startswith("report-a: ")
    assert terminal_tables(facts, []) == []


def test_the_reports_numbers_are_told_of_the_competition_s_data_only(tmp_path):
    """They were measured on its images: beside scores on others they say nothing."""
    other = dataclasses.replace(MARS, ignored_label=None)
    facts = made_facts(tmp_path, [run.record for run in RUNS], description=other)
    facts.output.mkdir()
    first, _ = terminal_tables(facts, rows_of(RUNS))
    assert [str(column.header) for column in first.columns][:3] == ["system", "ours", "as predicted"]
    assert cells(first) == [("a-ce", "70.00", "10.00", "none", "1,000", "1", "2")]
    columns = next(csv.reader(write_systems(facts, rows_of(RUNS)).open()))
    assert columns[3:5] == ["variation of", "seeds"]


def test_a_line_of_the_file_field_by_field(facts):
    path = write_systems(facts, rows_of(RUNS))
    assert path == facts.output / "systems.csv"
    with path.open() as file:
        lines = list(csv.DictReader(file))
    assert [line["system"] for line in lines] == ["a-ce", "b-unet3", "b-fusion"]
    a_ce, x, fusion = lines
    assert {name: x[name] for name in ("report", "system", "title", "variation of")} == {
        "report": "report-b",
        "system": "b-unet3",
        "title": "U-Net (3 blocks) = x",
        "variation of": "",
    }
    numbers = {name: float(text) for name, text in list(x.items())[4:] if text}
    assert numbers == {
        "published local test %": 52.26,
        "published leaderboard %": 47.76,
        "seeds": 2,
        "test mean_iou": pytest.approx(0.52),
        "test mean_iou sd": pytest.approx(0.04 / 2**0.5),
        "test mean_iou as predicted": pytest.approx(0.43),
        "test mean_iou as predicted sd": pytest.approx(0.06 / 2**0.5),
        "test iou soil": pytest.approx(0.7),
        "test iou sand": pytest.approx(0.2),
        "test iou big rock": pytest.approx(0.25),
        "parameters": 1_234_567,
        "epochs": 4.5,
        "seconds": 11.25,
    }
    assert fusion["variation of"] == "b-unet3"
    assert [fusion[name] for name in fusion if name.startswith("published")] == ["", "", ""]
    assert [fusion[name] for name in fusion if name.endswith("sd")] == ["", ""]
    assert [a_ce[name] for name in a_ce if name.startswith("published")] == ["43.89", "", ""]


def test_the_file_has_a_column_for_each_kind_of_number_and_each_class_that_is_there(facts):
    path = write_systems(facts, rows_of(RUNS))
    assert next(csv.reader(path.open())) == [
        "report",
        "system",
        "title",
        "variation of",
        "published validation %",
        "published local test %",
        "published leaderboard %",
        "seeds",
        "test mean_iou",
        "test mean_iou sd",
        "test mean_iou as predicted",
        "test mean_iou as predicted sd",
        "test iou soil",
        "test iou sand",
        "test iou big rock",
        "parameters",
        "epochs",
        "seconds",
    ]


def test_each_difference_that_the_reports_found_is_between_two_systems_of_one_report():
    assert [(effect.better, effect.worse, effect.as_predicted) for effect in EFFECTS] == [
        ("a-ce-ignoring", "a-ce", True),
        ("b-unet3", "b-unet2", False),
        ("b-attention", "b-unet3", False),
        ("b-finetuned", "b-attention", False),
    ]
    assert all(SYSTEMS[effect.better].report == SYSTEMS[effect.worse].report for effect in EFFECTS)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.51234], "51.23"),
        ([0.5, 0.5], "50.00 ± 0.00"),
        ([0.4, 0.5, 0.6], "50.00 ± 10.00"),  # over n - 1: over n it would be 8.16
        ([0.2, 0.2, 0.2, 0.8], "35.00 ± 30.00"),  # the mean, not the median
    ],
)
def test_a_spread_reads_as_percent_with_two_decimals(values, text):
    assert Spread.of(values).percent() == text


@pytest.mark.parametrize(
    "thing", [Spread(mean=0.5, deviation=None), RUNS[0], rows_of(RUNS)[0], EFFECTS[0]], ids=lambda x: type(x).__name__
)
def test_what_a_table_is_made_of_is_fixed(thing):
    check_fixed(thing)
