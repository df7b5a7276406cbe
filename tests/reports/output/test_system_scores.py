"""Systems are scored on the held-out test part, with a model whose predictions are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from reports.output import systems_comparison
from reports.output.systems_comparison import score_runs
from tests.made.records import trial_record
from tests.reports.made_runs import made_facts
from trainables.data import DataSource, prepare


class Halves(nn.Module):
    """Predicts class 0 in the left half of an image and class 1 in the right; next best is class 1 everywhere."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(images), 5, *images.shape[-2:])
        logits[:, 0, :, : images.shape[-1] // 2] = 3.0
        logits[:, 1] = 2.0
        return logits


@pytest.fixture
def data(tiny_file, monkeypatch):
    """Of 16x24 images: on the test part class 1 above class 2, on the others either of them alone."""
    data = prepare(DataSource(uri=str(tiny_file)))
    masks = np.ones(data.masks.shape, np.uint8)
    masks[data.split["val"]] = 2
    masks[data.split["test"], 12:] = 2  # 4 rows of 16
    monkeypatch.setitem(vars(data), "masks", masks)  # it maps them when they are first asked for
    return data


@pytest.fixture
def loaded(monkeypatch):
    """Where each model was loaded from."""
    places = []

    def load_best(store, data, device):
        places.append((store.location, device))
        return Halves()

    monkeypatch.setattr(systems_comparison, "load_best", load_best)
    return places


CPU = torch.device("cpu")


def test_a_run_is_scored_on_the_test_part_alone_with_and_without_the_ignored_class(data, loaded, tmp_path):
    (run,) = score_runs(made_facts(tmp_path, [trial_record(3, [0.9])], data), CPU)
    # All pixels predicted 1: 12 of 16 rows are. On the validation part it would be 0, on the train part 1.
    assert list(run.suppressed.class_iou.values()) == pytest.approx([0.75, 0.0])
    assert run.suppressed.mean_iou == pytest.approx(0.375)
    # The right half predicted 1: 12 * 12 pixels of 16 * 24 - 4 * 12; the ignored class counts as a third one.
    assert run.as_predicted.mean_iou == pytest.approx((144 / 336 + 0 + 0) / 3)
    assert run.suppressed.confusion.sum() == len(data.split["test"]) * 16 * 24
    assert run.record.number == 3


def test_only_trials_that_ran_to_their_end_are_scored_each_with_its_own_best_weights(data, loaded, tmp_path):
    states = ["complete", "pruned", "failed", "running", "complete"]
    records = [trial_record(number, [0.5], state=state) for number, state in enumerate(states)]
    runs = list(score_runs(made_facts(tmp_path, records, data), CPU))
    assert [run.record for run in runs] == [records[0], records[4]]
    assert loaded == [(f"{tmp_path}/checkpoints/0000", CPU), (f"{tmp_path}/checkpoints/0004", CPU)]


@pytest.mark.parametrize(("precision", "bf16"), [("fp32", False), ("bf16", True)])
def test_scores_are_reckoned_in_the_studys_precision(precision, bf16, data, loaded, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(systems_comparison, "evaluate", lambda *_, **how: asked.append(how))
    list(score_runs(made_facts(tmp_path, [trial_record(0)], data, precision=precision), CPU))
    assert asked == [{"device": CPU, "bf16": bf16, "suppressed": suppressed} for suppressed in (True, False)]
