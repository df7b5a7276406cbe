"""What the plan says is what the run does."""

from __future__ import annotations

import io
import re
from dataclasses import asdict

import pytest
from rich.console import Console

from search.cli.options.search_parser import parse
from search.cli.planning import find_study, make_plan
from search.ledger.ledger import Ledger
from search.ray_cluster.capacity import ClusterSize
from tests.made.studies import begin
from trainables.data import DataSource, prepare


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Returns a plan and what is printed of it, for a machine with two CPUs."""
    monkeypatch.chdir(tmp_path)
    data = prepare(DataSource(uri="sample", seed=0))

    def make(*arguments):
        options = parse(["--name", "study", *arguments])
        console = Console(file=io.StringIO(), width=200)
        found = make_plan(console, options, ClusterSize(fixed=[{"CPU": 2.0}]), find_study(options, data))
        return found, console.file.getvalue()

    return make


@pytest.mark.parametrize("arguments", [(), ("--space", "wide"), ("--systems", "a-ce,b-finetuned")])
def test_no_line_says_another_number_of_epochs_than_the_one_asked_for(arguments, plan):
    _, text = plan("--max-epochs", "3", "--dry-run", *arguments)
    assert set(re.findall(r"(\d+) epochs", text)) == {"3"}
    assert not re.search(r"max-epochs (?!3\b)\d", text)


def test_the_profile_says_how_long_its_trials_are(plan):
    assert "and 12 epochs per trial (more with --max-epochs)" in plan()[1]
    assert "and 2 epochs per trial\n" in plan("--max-epochs", "2")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "4 starting points, then sampler forest; ASHA promotes 1 in 3 from epoch 2 on"),
        (("--budget", "3"), "3 starting points, the whole budget; ASHA promotes"),
        (("--budget", "1"), "1 starting point, the whole budget; ASHA promotes"),
        (("--no-portfolio", "--sampler", "tpe"), "sampler tpe; ASHA promotes"),
        (
            ("--max-epochs", "2"),
            "sampler forest; ASHA stops no trial: it would compare them from epoch 2 on, their last",
        ),
        (("--scheduler", "asha-stopping"), "sampler forest; ASHA keeps 1 in 3 from epoch 2 on"),
    ],
)
def test_the_search_is_said_as_it_will_be(arguments, said, plan):
    assert said in plan(*arguments)[1]


def test_a_study_that_has_its_budget_is_told_to_raise_it(plan, tmp_path, space):
    found, text = plan("--budget", "2")
    assert "2 trials\n" in re.sub(" +\n", "\n", text)
    ledger = Ledger.create(tmp_path / "runs" / "study")
    ledger.settings = asdict(found.settings)
    begin(ledger, space)
    assert "2 trials (1 is already in the ledger)" in plan("--budget", "2")[1]
    begin(ledger, space)
    said = "2 trials (2 are already in the ledger, so no new ones start: raise --budget for more)"
    assert said in plan("--budget", "2")[1]
