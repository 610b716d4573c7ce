"""When a figure is slower than an earlier one, and when that is noise."""

from __future__ import annotations

import pytest

from pytest_xdevice.baseline import Baseline
from pytest_xdevice.baseline import Figure
from pytest_xdevice.baseline import judge
from pytest_xdevice.timing import Timing


def figure(*results: float, arguments: tuple[str, ...] = ("a: float32[4]",), key: str = "k") -> Figure:
    return Figure("add_one", arguments, 1, "Cortex-A53", key, Timing(results, 10))


STEADY = figure(1.00, 1.01, 1.02, 1.03)
NOISY = figure(0.8, 1.0, 1.2, 2.0)


@pytest.mark.parametrize(
    ("now", "before", "finding"),
    [
        (figure(1.20, 1.21, 1.22, 1.23), STEADY, "slower"),
        (figure(1.08, 1.09, 1.10, 1.11), STEADY, "as before"),  # within the threshold
        (figure(1.00, 1.30, 1.31, 1.32), STEADY, "as before"),  # its fastest sample is as fast
        (figure(1.05, 1.25, 1.45, 2.3), NOISY, "as before"),  # within the noise
        (figure(2.4, 2.5, 2.6), NOISY, "slower"),
        (figure(0.80, 0.81, 0.82, 0.83), STEADY, "faster"),
        (figure(1.2), figure(1.0), "slower"),
        (figure(0.0), figure(0.0), "as before"),
    ],
)
def test_slower_is_beyond_the_threshold_and_the_noise(now: Figure, before: Figure, finding: str) -> None:
    assert judge(now, before, 0.1).finding == finding


def test_a_verdict_in_words() -> None:
    verdict = judge(figure(1.2, 1.2, key="other"), STEADY, 0.1)
    assert verdict.ratio == pytest.approx(1.2 / 1.015)
    assert verdict.message == (
        "add_one(a: float32[4]) takes 1.200 s, 1.18 times the 1.015 s of the baseline (medians; half of the samples "
        "within 1.200 s to 1.200 s, and before within 1.008 s to 1.022 s); the kernel's code is another one"
    )


def test_other_arguments_are_another_figure() -> None:
    baseline = Baseline()
    baseline.add("test", [STEADY])
    assert [verdict.finding for verdict in baseline.compare("test", [figure(9.0, arguments=("x",))], 0.1)] == ["new"]
    assert [verdict.finding for verdict in baseline.compare("other", [STEADY], 0.1)] == ["new"]


def test_repetitions_are_compared_in_their_order() -> None:
    baseline = Baseline()
    baseline.add("test", [figure(1.0), figure(5.0)])
    found = baseline.compare("test", [figure(5.0), figure(5.0), figure(5.0)], 0.1)
    assert [verdict.finding for verdict in found] == ["slower", "as before", "new"]


def test_a_file_brings_all_of_it_back() -> None:
    baseline = Baseline({"test[é]": [STEADY, NOISY]})
    assert Baseline.from_text(baseline.to_text()) == baseline
