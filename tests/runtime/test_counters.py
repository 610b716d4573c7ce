"""Counters by perf_event_open: of every thread there is, per call, and given back."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator

import pytest

from pytest_xdevice.runtime.counters import Counted
from pytest_xdevice.runtime.counters import Counters

PAGES = 64


@pytest.fixture
def counters() -> Iterator[Counters]:
    found = Counters()
    if "page_faults" not in found.read():
        assert "page_faults" in found.missing
        pytest.skip(found.missing)
    yield found
    found.close()


def touch(pages: int) -> None:
    """Write to so many pages that nobody has touched before."""
    if not pages:
        return
    with mmap.mmap(-1, pages * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1


def test_what_this_thread_does_is_counted(counters: Counters) -> None:
    before = counters.read()
    touch(PAGES)
    after = counters.read()
    assert after["page_faults"] - before["page_faults"] >= PAGES
    assert after["task_clock"] > before["task_clock"]


def test_what_a_thread_does_that_was_there_is_counted() -> None:
    begin = threading.Event()

    def work() -> None:
        begin.wait()
        touch(PAGES)

    thread = threading.Thread(target=work)
    thread.start()
    found = Counters()
    try:
        before = found.read()
        begin.set()
        thread.join()
        after = found.read()
    finally:
        begin.set()
        found.close()
    if "page_faults" not in before:
        pytest.skip(found.missing)
    assert after["page_faults"] - before["page_faults"] >= PAGES


def test_counts_are_those_of_one_call(counters: Counters) -> None:
    def sample(calls: int) -> float:
        touch(calls * PAGES)
        return 1.0

    counted = Counted(sample, counters)
    counted(100)  # of a calibration, which is not among those that are kept
    assert [counted(2) for _ in range(3)] == [1.0] * 3
    assert counted.per_call(3)["page_faults"] == pytest.approx(PAGES, rel=0.5)


def test_each_counter_is_there_or_missing_for_a_reason(counters: Counters) -> None:
    there = counters.read()
    names = ["cycles", "instructions", "cache_misses", "branch_misses", "task_clock", "page_faults", "context_switches"]
    for name in names:
        assert (name in there) != (name in counters.missing)


def test_counters_are_given_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    found = Counters()
    found.close()
    found.close()
    assert len(os.listdir("/proc/self/fd")) == before
