"""What strangers may take of a server, by the clock of the test."""

from __future__ import annotations

import pytest

from pytest_xdevice.runtime import admission
from pytest_xdevice.runtime.admission import Admission
from pytest_xdevice.runtime.admission import is_loopback
from pytest_xdevice.runtime.admission import is_worth_a_line


class Clock:
    """Time that the test moves; to sleep moves it too."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(admission.time, "sleep", clock.sleep)
    return clock


def fail(accounts: Admission, host: str, clock: Clock) -> float:
    """Fail once, and return how long the refusal was held."""
    assert accounts.enter(host) is None
    began = clock.now
    accounts.hold(host)
    accounts.leave(host)
    accounts.failed(host)
    return clock.now - began


def test_one_address_cannot_take_all_places(clock: Clock) -> None:
    accounts = Admission(clock)
    for _ in range(admission.MAX_PENDING_EACH):
        assert accounts.enter("192.0.2.1") is None
    assert accounts.enter("192.0.2.1") == "too many connections that have not authenticated"
    assert accounts.enter("192.0.2.2") is None
    accounts.leave("192.0.2.1")
    assert accounts.enter("192.0.2.1") is None


def test_all_addresses_together_are_bounded(clock: Clock) -> None:
    accounts = Admission(clock)
    for number in range(admission.MAX_PENDING):
        assert accounts.enter(f"192.0.2.{number}") is None
    assert accounts.enter("192.0.2.200") == "too many connections that have not authenticated"


def test_refusals_take_longer_and_longer_and_are_forgotten(clock: Clock) -> None:
    accounts = Admission(clock)
    assert [fail(accounts, "192.0.2.1", clock) for _ in range(9)] == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 4]
    assert fail(accounts, "192.0.2.2", clock) == 0
    clock.now += 2 * admission.FORGET_SECONDS
    assert fail(accounts, "192.0.2.1", clock) == 0


def test_a_right_proof_ends_the_delays(clock: Clock) -> None:
    accounts = Admission(clock)
    for _ in range(9):
        fail(accounts, "192.0.2.1", clock)
    accounts.succeeded("192.0.2.1")
    assert fail(accounts, "192.0.2.1", clock) == 0


def test_who_failed_may_not_try_often(clock: Clock) -> None:
    accounts = Admission(clock)
    for _ in range(20):
        accounts.failed("192.0.2.1")
    answers = []
    for _ in range(100):
        answers.append(accounts.enter("192.0.2.1"))
        if answers[-1] is None:
            accounts.leave("192.0.2.1")
    assert answers.count(None) == admission.TRIES_PER_SECOND
    assert answers[-1] == "too many failures"
    clock.now += 0.1  # somebody who fails ten times a second does not keep others out
    assert accounts.enter("192.0.2.1") is None


def test_addresses_of_one_network_count_together(clock: Clock) -> None:
    accounts = Admission(clock)
    for number in range(9):
        accounts.failed(f"2001:db8::{number}")
    assert accounts.failed("2001:db8::ffff") == 10
    assert accounts.failed("2001:db8:0:1::1") == 1
    assert accounts.failed("::ffff:192.0.2.1") == 1
    assert accounts.failed("192.0.2.1") == 2


def test_the_table_stays_small(clock: Clock) -> None:
    accounts = Admission(clock)
    for number in range(3 * admission.MAX_ADDRESSES):
        accounts.failed(f"10.0.{number >> 8}.{number & 255}")
    assert len(accounts._records) <= admission.MAX_ADDRESSES


def test_the_log_grows_slowly() -> None:
    assert sum(is_worth_a_line(number) for number in range(1, 1_000_000)) < 30


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False),
     ("::", False), ("192.0.2.1", False), ("fe80::1%eth0", False), ("", False)],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
