from __future__ import annotations

import dataclasses
import io
import itertools
import random

import pytest
from rich.console import Console

from reports.progress import TimeLeft, tracked
from tests.made.studies import epoch_report


@pytest.mark.parametrize("terminal", [True, False])
def test_every_item_comes_through(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal)
    assert list(tracked(console, iter("abc"), 3, "reading")) == ["a", "b", "c"]


@pytest.mark.parametrize(("total", "lines"), [(1, 1), (3, 3), (10, 10), (157, 10)])
def test_without_a_terminal_there_is_a_line_every_tenth(total, lines):
    console = Console(file=io.StringIO())
    list(tracked(console, range(total), total, "predicting"))
    text = console.file.getvalue().splitlines()
    assert len(text) == lines
    assert text[-1] == "  predicting 100%  0 s left"


def simulated(lengths, *, seed, first=3.0, noise=0.15, hiccup=0.05):
    """Reports of a training whose stages take 10, 4 and 7 s an epoch: noisy, slow at first, sometimes disturbed."""
    chance, epoch = random.Random(seed), 0
    for stage, (length, seconds) in enumerate(zip(lengths, (10.0, 4.0, 7.0), strict=False), start=1):
        for _ in range(length):
            epoch += 1
            took = seconds * chance.lognormvariate(0.0, noise) * (6 if chance.random() < hiccup else 1)
            if epoch == 1:
                took *= first
            yield dataclasses.replace(
                epoch_report(epoch, 0.5), stage=stage, train_seconds=0.8 * took, val_seconds=0.2 * took
            )


def errors(reports):
    """Relative errors of the estimates after the second to the last epoch but four: few epochs are mostly noise."""
    time_left, found = TimeLeft(len(reports)), []
    for done, report in enumerate(reports, start=1):
        estimate = time_left.after(report)
        if 2 <= done <= len(reports) - 5:
            true = sum(each.train_seconds + each.val_seconds for each in reports[done:])
            found.append(estimate / true - 1)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_time_left_of_even_epochs_is_close_after_the_second(seed):
    assert max(map(abs, errors(list(simulated([60], seed=seed, noise=0.05, hiccup=0))))) < 0.25


@pytest.mark.parametrize("seed", range(20))
def test_a_disturbed_epoch_does_not_make_the_time_left_jump(seed):
    reports = list(simulated([60], seed=seed, noise=0.05, hiccup=0.04))
    time_left = TimeLeft(60)
    estimates = [time_left.after(report) for report in reports]
    rises = [later / earlier for earlier, later in itertools.pairwise(estimates[3:-1])]
    assert max(rises) < 1.15
    assert estimates[-1] == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_stage_is_estimated_by_its_own_epochs(seed):
    reports = list(simulated([20, 30], seed=seed, noise=0.05, hiccup=0))
    found = errors(reports)
    assert max(map(abs, found[20:])) < 0.25


def test_the_median_of_the_last_epochs_counts():
    time_left = TimeLeft(20)
    seconds = [100.0, 9.0, 11.0, *[10.0] * 4, *[5.0] * 9]
    reports = [dataclasses.replace(epoch_report(n, 0.5), train_seconds=s) for n, s in enumerate(seconds, start=1)]
    found = [time_left.after(dataclasses.replace(report, val_seconds=0.0)) for report in reports]
    assert found[:3] == [19 * 100.0, 18 * 9.0, 17 * 10.0]
    assert found[-1] == 4 * 5.0
