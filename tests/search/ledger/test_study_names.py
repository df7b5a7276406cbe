from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.cli.options.option_types import study_name
from search.cli.options.search_parser import parse
from search.cli.planning import find_study
from search.ledger.ledger import Ledger
from search.ledger.study_names import MOST_LETTERS, NAME, check_name, derived_name, name_after
from trainables.data import DataSource


def from_data(file, suffix="", root=None):
    return derived_name(DataSource(uri=file).name, suffix, root)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("mars for students (1).npz", "mars-for-students-1"),
        (" mars .npz", "mars"),
        (".npz", "npz"),
        (".hidden.npz", "hidden"),
        ("-mars.npz", "mars"),
        ("_mars_.npz", "mars"),
        ("Städte è.npz", "Stadte-e"),
        ("火星 2024.npz", "2024"),
        ("s3://bucket/my%20data.npz?region=x", "my-20data"),
        ("[bold]red[/bold].npz", "bold"),
        ("x\x1b[2J\n.npz", "x-2J"),
        ("m" * 120 + ".npz", "m" * 100),
    ],
)
def test_a_name_that_data_gives_obeys_the_rule_and_is_announced(file, name):
    found, remark = from_data(file)
    assert found == name
    assert study_name(found) == found
    assert remark is not None
    assert f"the study's name is {name}, made from" in remark
    assert "\x1b" not in remark


@pytest.mark.parametrize("file", ["mars_for_students.npz", "sample", "in/a.b-c_d.npz", "1.npz", "m" * 100 + ".npz"])
def test_a_file_whose_name_obeys_the_rule_gives_it_as_it_is(file):
    assert from_data(file) == (DataSource(uri=file).name, None)


@pytest.mark.parametrize("file", ["...npz", "....npz", "火星.npz", "_.npz", " .npz", "()().npz", "-.npz"])
def test_a_file_that_gives_no_name_is_refused_with_a_suggestion(file):
    with pytest.raises(
        ValueError, match=r"--data: .* has no character for a study's name: give a name, such as --name study"
    ):
        from_data(file)


def test_systems_keep_their_suffix_within_the_rule():
    assert from_data("mars.npz", "-systems") == ("mars-systems", None)
    name, remark = from_data("m" * 95 + ".npz", "-systems")
    assert name == "m" * 92 + "-systems"
    assert len(name) == MOST_LETTERS
    assert remark is not None


@given(st.text())
def test_every_text_gives_a_name_that_the_options_take_or_is_refused(text):
    try:
        name = name_after(text)
    except ValueError:
        return
    assert NAME.fullmatch(name)
    assert study_name(name) == name
    assert name_after(name) == name


@pytest.mark.parametrize("text", ["m" * 101, "../up", "", "a b", "-a", ".a", "ä", "a\n"])
def test_a_name_that_breaks_the_rule_is_refused_with_it(text):
    with pytest.raises(
        argparse.ArgumentTypeError, match=r"a name consists of letters, digits, .* and begins with a letter"
    ):
        study_name(text)


def test_a_study_that_an_older_version_named_goes_on_under_its_name(tmp_path):
    Ledger.create(tmp_path / "mars (1)")
    name, remark = from_data("mars (1).npz", root=tmp_path)
    assert name == "mars (1)"
    assert remark is not None
    assert f"rename {tmp_path / 'mars (1)'} to mars-1" in remark
    (tmp_path / "mars (1)").rename(tmp_path / "mars-1")
    assert from_data("mars (1).npz", root=tmp_path)[0] == "mars-1"
    Ledger.create(tmp_path)
    assert from_data("mars (2).npz", root=tmp_path)[0] == "mars-2"
    assert from_data("m" * 251 + ".npz", "-systems", root=tmp_path)[0] == "m" * 92 + "-systems"
    with pytest.raises(ValueError, match="no character for a study's name"):
        from_data("...npz", root=tmp_path / "runs")


def test_a_search_takes_the_name_and_says_so(tmp_path, monkeypatch):
    class Data:
        name = "mars (1)"

    monkeypatch.chdir(tmp_path)
    study = find_study(parse([]), Data())
    assert str(study.folder) == "runs/mars-1"
    assert study.remark is not None
    named = find_study(parse(["--name", "mine"]), Data())
    assert (str(named.folder), named.remark) == ("runs/mine", None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m" * 101, rf"begins with a letter or digit, and has at most 100 characters; did you mean '{'m' * 100}'\?$"),
        ("mars for students (1)", r"begins with a letter or digit; did you mean 'mars-for-students-1'\?$"),
        ("...", r"begins with a letter or digit$"),
    ],
)
def test_a_refused_name_gets_the_rule_and_a_similar_name(name, words):
    with pytest.raises(ValueError, match=words):
        check_name(name)
