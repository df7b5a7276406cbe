"""What the forest learns from, what it is asked, and what it proposes, with trees that say what a test says."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from search.sampling import forest as forests
from search.sampling.encoding import Encoding
from search.sampling.forest import ForestSampler
from search.sampling.point_sampler import Draw
from search.study.space import Parameter, Space

SPACE = Space((Parameter(name="x", low=0.0, high=1.0, help=""),))


def trial(number, x, scores):
    """With these scores by epoch, or epoch by epoch."""
    values = scores if isinstance(scores, dict) else dict(enumerate(scores, start=1))
    made = create_trial(
        state=TrialState.RUNNING,
        params={"x": x},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        intermediate_values=values,
    )
    made.number = number
    return made


def sampler(max_epochs=9, seed=5):
    return ForestSampler(Draw(seed=seed, study_seed=7, number=20, encoding=Encoding(SPACE), max_epochs=max_epochs))


class Trees:
    """Stands in for scikit-learn's forest: keeps what it is given, predicts by the functions of `says`."""

    def __init__(self):
        self.says = [lambda rows: rows[:, 0]]

    def __call__(self, *args, **options):
        self.args, self.options = args, options
        return self

    def fit(self, features, scores):
        self.features, self.scores = features, scores
        return self

    @property
    def estimators_(self):
        return [SimpleNamespace(tree_=SimpleNamespace(predict=self._tree(says))) for says in self.says]

    def _tree(self, says):
        def predict(rows):
            self.asked = rows
            return np.asarray(says(rows), float)[:, None]

        return predict


@pytest.fixture
def trees(monkeypatch):
    stand_in = Trees()
    monkeypatch.setattr("sklearn.ensemble.ExtraTreesRegressor", stand_in)
    return stand_in


def candidates(monkeypatch, *xs):
    cubes = np.array(xs)[:, None]
    monkeypatch.setattr(ForestSampler, "_candidates", lambda self, told: cubes)


def test_it_learns_the_epochs_that_are_powers_of_two_and_the_last(trees):
    told = [trial(0, 0.25, [0.1 * epoch for epoch in range(1, 10)]), trial(1, 0.5, [0.05, 0.15, 0.35])]
    told += [trial(2, 0.75, [0.01, 0.02, 0.03, 0.04]), trial(3, 1.0, {3: 0.3, 5: 0.31})]
    sampler(max_epochs=9).choose(told)
    # Best trials first; the epoch is log(epoch) / log(9).
    epochs = [1, 2, 4, 8, 9, 1, 2, 3, 5, 1, 2, 4]
    np.testing.assert_allclose(trees.features[:, 1], np.log(epochs) / np.log(9), rtol=1e-6)
    assert trees.features[:, 1][[4, 7]] == pytest.approx([1.0, 0.5])
    np.testing.assert_allclose(trees.features[:, 0], [0.25] * 5 + [0.5] * 3 + [1.0] + [0.75] * 3)
    np.testing.assert_allclose(trees.scores, [0.1, 0.2, 0.4, 0.8, 0.9, 0.05, 0.15, 0.35, 0.31, 0.01, 0.02, 0.04])


def test_of_trainings_of_one_epoch_the_epoch_says_nothing(trees):
    sampler(max_epochs=1).choose([trial(0, 0.25, [0.5]), trial(1, 0.5, [0.4])])
    np.testing.assert_array_equal(trees.features, [[0.25, 0.0], [0.5, 0.0]])


@pytest.mark.parametrize("max_epochs", [1, 9])
def test_it_asks_for_the_last_epoch(max_epochs, trees):
    sampler(max_epochs=max_epochs).choose([trial(0, 0.25, [0.5, 0.6])])
    assert trees.asked.shape == (600, 2)
    assert (trees.asked[:, 1] == 1.0).all()
    assert trees.asked.dtype == trees.features.dtype == np.float32


def test_of_many_trials_the_best_and_the_newest_are_told(trees, monkeypatch):
    monkeypatch.setattr(forests, "BEST_TOLD", 2)
    monkeypatch.setattr(forests, "NEWEST_TOLD", 3)
    tops = [0.1, 0.9, 0.3, 0.8, 0.7, 0.2, 0.6, 0.4]
    told = [trial(number, top, {1: top}) for number, top in enumerate(tops)]
    told.append(trial(8, 0.0, {}))  # without a score there is nothing to tell
    for order in (told, told[::-1]):
        sampler().choose(order)
        # 0.9 and 0.8 are the best, 0.2, 0.6 and 0.4 the newest.
        np.testing.assert_allclose(trees.scores, [0.9, 0.8, 0.6, 0.4, 0.2])


def test_a_trial_is_as_good_as_its_best_epoch(trees, monkeypatch):
    monkeypatch.setattr(forests, "BEST_TOLD", 1)
    monkeypatch.setattr(forests, "NEWEST_TOLD", 1)
    sampler().choose([trial(0, 0.25, [0.9, 0.1]), trial(1, 0.5, [0.3, 0.8]), trial(2, 0.75, [0.2, 0.3])])
    np.testing.assert_allclose(trees.scores, [0.9, 0.1, 0.2, 0.3])


def test_a_hundred_best_and_two_hundred_newest_are_told(trees):
    told = [trial(number, 0.5, {1: 1.0 - number / 1000}) for number in range(310)]
    sampler().choose(told)
    assert len(trees.scores) == 300  # numbers 0 to 99, and 110 to 309
    assert trees.scores[[99, 100]] == pytest.approx([0.901, 0.89])


@pytest.mark.parametrize(("count", "parents", "each"), [(1, 1, 300), (4, 4, 75), (6, 6, 50), (9, 6, 50)])
def test_half_of_the_candidates_are_near_the_best_trials(count, parents, each, trees, monkeypatch):
    asked = []

    def neighbours(self, cube, number, random):
        asked.append((float(cube[0]), number))
        return np.repeat(cube[None] / 10 + 5, number, axis=0)  # marked, so that they are known below

    monkeypatch.setattr(Encoding, "neighbours", neighbours)
    best = [0.1 * (count - number) for number in range(count)]  # the newest are the worst
    sampler().choose([trial(number, x, [x, 0.0]) for number, x in enumerate(best)])
    assert asked == [(pytest.approx(x), each) for x in best[:parents]]
    xs = trees.asked[:, 0]
    assert len(xs) == 600
    assert ((xs[:300] >= 0) & (xs[:300] < 1)).all()
    np.testing.assert_allclose(xs[300:], np.repeat(best[:parents], each) / 10 + 5, rtol=1e-5)
    assert 0.4 < xs[:300].mean() < 0.6  # the others are anywhere


def test_the_candidate_of_the_largest_mean_is_proposed_where_trees_agree(trees, monkeypatch):
    candidates(monkeypatch, 0.1, 0.9, 0.4)
    trees.says = [lambda rows: rows[:, 0]] * 2
    assert sampler().choose([trial(0, 0.25, [0.5])]) == {"x": pytest.approx(0.9)}


@pytest.mark.parametrize(("sure", "chosen"), [(0.6397, 0.2), (0.6400, 0.3)])
def test_what_the_trees_disagree_on_is_worth_as_much_as_a_sure_improvement(sure, chosen, trees, monkeypatch):
    """The best score is 0.6. Of 0.3 or 0.7 the mean is 0.5 and the deviation 0.2 + 0.001, so z = -0.1 / 0.201 =
    -0.49751, and the expected improvement is 0.201 * (z * 0.30941 + 0.35250) = 0.03991. A sure score improves by what
    it is above 0.6."""
    said = {0.1: (0.5, 0.5), 0.2: (0.3, 0.7), 0.3: (sure, sure)}
    candidates(monkeypatch, *said)
    trees.says = [lambda rows, tree=tree: [values[tree] for values in said.values()] for tree in (0, 1)]
    told = [trial(0, 0.25, [0.6, 0.55]), trial(1, 0.5, [0.2])]  # also if it was better before
    assert sampler().choose(told) == {"x": pytest.approx(chosen)}


def test_the_forest_is_the_one_that_was_measured(trees):
    sampler().choose([trial(0, 0.25, [0.5])])
    assert trees.args == (24,)
    seed = trees.options.pop("random_state")
    assert trees.options == {"min_samples_leaf": 2, "max_features": 0.5, "bootstrap": True}
    sampler().choose([trial(0, 0.25, [0.5])])
    assert trees.options["random_state"] == seed
    sampler(seed=6).choose([trial(0, 0.25, [0.5])])
    assert trees.options["random_state"] != seed


def test_without_any_score_nothing_is_chosen(trees):
    assert sampler().choose([trial(0, 0.25, [])]) == {}
    assert sampler().choose([]) == {}
