"""The ratio of two kernels' times, and the interval that it lies in."""

from __future__ import annotations

import math
import random

import pytest

from pytest_xdevice.comparison import Comparison
from pytest_xdevice.comparison import median_ranks
from pytest_xdevice.timing import Timing


def compare(first: list[float], second: list[float]) -> Comparison:
    return Comparison(("one", "other"), Timing(tuple(first), 1), Timing(tuple(second), 1))


def test_what_slows_both_of_a_pair_is_no_difference() -> None:
    drift = [1.0 + index / 10 for index in range(11)]
    found = compare([2 * seconds for seconds in drift], drift)
    assert found.ratio == pytest.approx(2.0)
    assert found.interval == pytest.approx((2.0, 2.0))
    assert found.differs
    assert str(found) == (
        "one takes 2.000 times as long as other (2.000 to 2.000 with 99 % confidence, 11 pairs; "
        "medians 3.000 s to 1.500 s)"
    )


def test_noise_is_no_difference() -> None:
    found = compare([1.0, 1.2, 0.9, 1.1, 1.0, 0.8, 1.3], [1.1, 1.0, 1.0, 0.9, 1.2, 1.0, 1.1])
    assert not found.differs
    assert str(found).endswith("; no difference can be told)")


def test_a_few_pairs_tell_no_difference() -> None:
    found = compare([2.0], [1.0])
    assert not found.differs
    assert "(2.000 to 2.000 with 0 % confidence, 1 pair; " in str(found)
    assert not compare([2.0] * 5, [1.0] * 5).differs
    assert compare([2.0] * 6, [1.0] * 6).differs


def test_nothing_measurable_has_no_ratio() -> None:
    found = compare([0.0, 0.0], [0.0, 0.0])
    assert math.isnan(found.ratio)
    assert not found.differs
    assert str(found) == "one and other take no time that could be measured"


@pytest.mark.parametrize(
    ("count", "rank", "confidence"),
    # Tables of the sign test, such as Conover, Practical Nonparametric Statistics, table A3.
    [
        (1, 0, 0.0),
        (2, 0, 0.5),
        (5, 0, 0.9375),
        (6, 0, 0.96875),
        (9, 1, 0.9609),
        (20, 5, 0.9586),
        (101, 40, 0.9540),
        (2001, 956, 0.9509),
    ],
)
def test_ranks_are_those_of_the_sign_test(count: int, rank: int, confidence: float) -> None:
    assert median_ranks(count, 0.95) == (rank, pytest.approx(confidence, abs=2e-3))


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    draw = random.Random(1)
    hits = 0
    for _ in range(1000):
        found = compare([1.1 * draw.lognormvariate(0, 0.2) for _ in range(31)], [1.0] * 31)
        low, high = found.interval
        hits += low <= 1.1 <= high
    assert hits / 1000 == pytest.approx(found.confidence, abs=0.025)
