from __future__ import annotations

import dataclasses

import pytest

from reports.command import run
from reports.inputs import read_study
from reports.options import parser
from reports.output.folder import make_output
from tests.made.records import trial_record
from tests.reports.made_runs import made_facts


@pytest.fixture
def facts(tmp_path):
    (tmp_path / "study").mkdir()
    return dataclasses.replace(made_facts(tmp_path / "study", [trial_record(0, [0.5])]), identity="abc")


def test_the_studys_own_folder_is_the_default(facts):
    make_output(facts)
    assert facts.output == facts.folder / "report"
    assert list(facts.output.iterdir()) == []
    make_output(facts)
    (facts.output / "link").symlink_to("/tmp")
    with pytest.raises(ValueError, match="is a symbolic link, which could lead out of the study's folder"):
        make_output(facts)


def test_another_folder_holds_the_report_of_one_study(facts, tmp_path):
    elsewhere = tmp_path / "a" / "b"
    mine = dataclasses.replace(facts, elsewhere=elsewhere)
    make_output(mine)
    assert mine.output == elsewhere
    assert list(facts.folder.iterdir()) == []
    make_output(dataclasses.replace(mine, folder=tmp_path / "renamed"))
    with pytest.raises(ValueError) as caught:
        make_output(dataclasses.replace(mine, identity="xyz"))
    assert str(caught.value) == (
        f"{elsewhere}: holds the report of another study, {facts.folder}: give another --output"
    )


def test_studies_without_an_identity_are_told_apart_by_their_folders(facts, tmp_path):
    old = dataclasses.replace(facts, identity=None, elsewhere=tmp_path / "out")
    make_output(old)
    make_output(old)
    with pytest.raises(ValueError, match="holds the report of another study"):
        make_output(dataclasses.replace(old, folder=tmp_path / "other"))


@pytest.mark.parametrize("content", ["[]", "{", "{}", "1"])
def test_a_damaged_marker_is_named(content, facts, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.json").write_text(content)
    with pytest.raises(ValueError, match=r"out/study.json: does not name a study \(.*\); give another --output"):
        make_output(dataclasses.replace(facts, elsewhere=tmp_path / "out"))


def test_a_folder_that_cannot_be_written_names_the_option(study, monkeypatch):
    for output in ("/proc/none", "/dev/null/x"):
        with pytest.raises(ValueError, match=rf"^{output}: cannot be used \(.+\); give another folder with --output$"):
            run(parser().parse_args([str(study), "--no-submission", "--no-onnx", "--output", output]))


def test_a_study_that_is_not_written_to_has_its_whole_report_elsewhere(study, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    run(parser().parse_args([str(study), "--no-onnx", "--output", str(tmp_path / "out")]))
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before
    assert {"report.html", "leaderboard.csv", "submission.csv", "predictor.json", "retrain", "study.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    assert f"wrote {tmp_path}/out/report.html" in capsys.readouterr().out
    assert read_study(study, None, None, tmp_path / "out").output == tmp_path / "out"
