from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.gpu_sharing.trials_per_gpu import MEMORY_SHARE, WORTHWHILE, best_count, counts, most_trials
from search.study.gpu_share import UNITS, Placement, share
from tests.made.records import check_fixed

BYTES = st.integers(1, 10**12)
CPUS = st.floats(0.01, 512)


@settings(max_examples=25)
@given(largest=BYTES, memory=BYTES, cpus_per_gpu=CPUS, cpus_per_trial=CPUS)
def test_what_shares_a_gpu_fits_into_its_memory_and_its_cpus(largest, memory, cpus_per_gpu, cpus_per_trial):
    most, _ = most_trials(largest=largest, memory=memory, cpus_per_gpu=cpus_per_gpu, cpus_per_trial=cpus_per_trial)
    assert most >= 1
    if most > 1:
        assert most * largest <= MEMORY_SHARE * memory
        assert most * cpus_per_trial <= cpus_per_gpu + 1e-5 * cpus_per_trial


@settings(max_examples=25)
@given(largest=BYTES, memory=BYTES, more=BYTES, cpus=CPUS)
def test_more_memory_never_means_fewer_trials(largest, memory, more, cpus):
    bounds = {"cpus_per_gpu": cpus, "cpus_per_trial": 0.5}
    fewer, _ = most_trials(largest=largest, memory=memory, **bounds)
    assert most_trials(largest=largest, memory=memory + more, **bounds)[0] >= fewer
    assert most_trials(largest=largest + more, memory=memory, **bounds)[0] <= fewer


@pytest.mark.parametrize(
    ("cpus_per_gpu", "most", "reason"),
    [
        (64, 9, "no more of the largest trials fit into 90% of its memory"),
        (8, 8, "there are no CPUs for more (8 per GPU, 1 per trial)"),
    ],
)
def test_what_bounds_the_trials_is_said(cpus_per_gpu, most, reason):
    assert most_trials(largest=10, memory=100, cpus_per_gpu=cpus_per_gpu, cpus_per_trial=1) == (most, reason)


@settings(max_examples=25)
@given(st.integers(1, 5000))
def test_so_many_shares_make_no_more_than_a_gpu_in_the_units_that_ray_counts(count):
    assert count * round(share(count) * 10_000) <= 10_000
    assert 1 / share(count) >= count  # and the cluster's GPUs over a share are no fewer trials than that


@settings(max_examples=25)
@given(st.integers(1, 5000))
def test_the_numbers_to_try_double_up_to_the_most(most):
    tried = counts(most)
    assert tried[0] == 1
    assert tried[-1] == most
    assert all(before < after <= 2 * before for before, after in itertools.pairwise(tried))


RATES = st.lists(st.floats(0, 1e6), min_size=1, max_size=8)


@settings(max_examples=25)
@given(RATES)
def test_trials_are_added_for_as_long_as_each_step_is_worthwhile(rates):
    by_count = {2**power: rate for power, rate in enumerate(rates)}
    best = best_count(by_count)
    steps = [2**power for power in range(len(rates)) if 2**power <= best]
    for before, after in itertools.pairwise(steps):
        assert by_count[after] >= WORTHWHILE * by_count[before]
    if 2 * best in by_count:
        assert by_count[2 * best] < WORTHWHILE * by_count[best]


@settings(max_examples=25)
@given(RATES, st.floats(0.5, 2))
def test_the_choice_knows_no_unit(rates, factor):
    by_count = {2**power: round(rate) for power, rate in enumerate(rates)}
    scaled = {count: rate * 2 ** round(factor) for count, rate in by_count.items()}
    assert best_count(scaled) == best_count(by_count)


def test_the_choice_in_a_sentence():
    placement = Placement(trials_per_gpu=6, device="NVIDIA T4", reason="12 change the total images/s by +3%")
    assert placement.gpus == 0.1666
    assert placement.sentence() == "6 trials per GPU (NVIDIA T4): 12 change the total images/s by +3%"


@pytest.mark.parametrize(
    ("count", "part"),
    [(1, 1.0), (2, 0.5), (3, 0.3333), (6, 0.1666), (7, 0.1428), (16, 0.0625), (9999, 0.0001), (10_000, 0.0001)],
)
def test_a_share_is_rounded_down_to_what_ray_counts(count, part):
    assert share(count) == part


@pytest.mark.parametrize(
    ("largest", "memory", "cpus_per_gpu", "cpus_per_trial", "most", "bound"),
    [
        (10, 100, 64, 1, 9, "memory"),  # 90 of 100
        (30, 100, 64, 1, 3, "memory"),  # just 90
        (31, 100, 64, 1, 2, "memory"),
        (91, 100, 64, 1, 1, "memory"),  # even one is too large, as the probe has found out
        (10, 100, 9, 1, 9, "memory"),  # as many by either
        (10, 100, 8.9, 1, 8, "CPUs"),
        (10, 100, 0.5, 1, 1, "CPUs"),
        (10, 100, 0.9, 0.3, 3, "CPUs"),  # 2.9999999999999996 in binary
        (10, 100, 8, 2, 4, "CPUs"),
    ],
)
def test_how_many_fit(largest, memory, cpus_per_gpu, cpus_per_trial, most, bound):
    found, reason = most_trials(
        largest=largest, memory=memory, cpus_per_gpu=cpus_per_gpu, cpus_per_trial=cpus_per_trial
    )
    assert found == most
    assert bound in reason


@pytest.mark.parametrize(
    ("most", "tried"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (9, [1, 2, 4, 8, 9])]
)
def test_the_numbers_to_try(most, tried):
    assert counts(most) == tried


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({1: 100.0}, 1),
        ({1: 10.0, 2: 11.0}, 2),  # just a tenth more
        ({1: 100.0, 2: 109.9}, 1),
        ({1: 10.0, 2: 12.0, 4: 14.0, 8: 15.0}, 4),
        ({8: 100.0, 4: 90.0, 2: 50.0, 1: 30.0}, 8),  # in whatever order they were measured
        ({1: 30.0, 2: 31.0, 4: 90.0}, 1),  # what comes after a step that brings nothing is not looked at
        ({1: 0.0, 2: 0.0}, 2),
    ],
)
def test_trials_are_added_while_each_step_brings_a_tenth_more(rates, best):
    assert best_count(rates) == best


def test_one_trial_has_the_gpu_to_itself_and_what_was_probed_is_fixed():
    placement = Placement(trials_per_gpu=1, device="NVIDIA T4", reason="no more fit")
    assert placement.sentence() == "1 trial per GPU (NVIDIA T4): no more fit"
    assert placement.gpus == 1.0
    assert placement.too_large is None
    assert (MEMORY_SHARE, WORTHWHILE, UNITS) == (0.9, 1.1, 10_000)
    check_fixed(placement)
