"""Puts figures that a device took into pytest-benchmark: its table, its files and its comparisons.

pytest-benchmark measures with a clock of the host, and decides by it how often to call. Here it gets a clock that
stands still but for what each call moves it by, so that it finds the device's samples, and is told how many there are.
Nothing but its public interface is used: the mark, the fixture's ``pedantic`` and ``extra_info``, and its hooks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import accumulate
from typing import Any
from typing import TYPE_CHECKING

import pytest

from .errors import XDeviceError
from .lanes import Lane
from .lanes import LANE_FIXTURE
from .timed_kernel import FIXTURE
from .timed_kernel import XBenchmark

if TYPE_CHECKING:
    from .device import Device
    from .timing import Timing
    from .timing import TimingRecord

_MARK = "benchmark"
_MACHINE = "xdevice"  # the entry of machine_info that is ours


class DeviceClock:
    """A clock that moves only when it is told to: by one call at a time, through the samples of a device."""

    __name__ = "device_clock"  # pytest-benchmark stores it

    def __init__(self) -> None:
        self._ends = [0.0]
        self._number = 1
        self._calls = 0

    def load(self, timing: Timing) -> None:
        """Take the samples that are to be found."""
        self._ends = [0.0, *accumulate(seconds * timing.number for seconds in timing.results)]
        self._number = timing.number

    def step(self) -> None:
        """Let one call of the kernel have been made; what comes after the last sample takes no time."""
        self._calls += 1

    def __call__(self) -> float:
        """Return the seconds that all finished samples took on the device."""
        return self._ends[min(self._calls // self._number, len(self._ends) - 1)]


class Replay:
    """The fixture `xbenchmark` where pytest-benchmark is there and at work, and what goes with it."""

    def __init__(self) -> None:
        self._devices: dict[str, dict[str, str]] = {}
        self._compared: list[dict[str, dict[str, str]]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if FIXTURE in getattr(item, "fixturenames", ()):
                given = item.get_closest_marker(_MARK)
                options = {**(given.kwargs if given is not None else {}), "timer": DeviceClock()}
                item.add_marker(getattr(pytest.mark, _MARK)(**options), append=False)

    @pytest.fixture(name=FIXTURE)
    def _xbenchmark(self, xdevice: Device, benchmark: Any, request: pytest.FixtureRequest) -> XBenchmark:
        """Time a kernel on the device; pytest-benchmark's table and files have the figures."""
        mark = request.node.get_closest_marker(_MARK)
        clock = mark.kwargs.get("timer") if mark is not None else None
        if not isinstance(clock, DeviceClock):
            _tell_failure(benchmark)
            message = f"{FIXTURE} has to be an argument of the test, or of a fixture that the test names"
            pytest.fail(message, pytrace=False)

        @contextlib.contextmanager
        def kept() -> Iterator[None]:
            try:
                yield
            except BaseException:
                _tell_failure(benchmark)
                raise
            record: TimingRecord = xdevice.records[-1]  # type: ignore[assignment]  # a measurement is what it was
            facts = device_facts(xdevice)
            self._devices[f"{xdevice.name}-{xdevice.kind}"] = facts
            benchmark.extra_info.update(kernel_facts(record), device=xdevice.name, kind=xdevice.kind, **facts)
            clock.load(record.timing)
            benchmark.pedantic(clock.step, rounds=record.timing.repeat, iterations=record.timing.number)

        return XBenchmark(xdevice, kept)

    @pytest.hookimpl
    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        # When files are compared no device is known yet.
        if self._devices:
            machine_info[_MACHINE] = self._devices

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_compare_machine_info(self, compared_benchmark: dict[str, Any]) -> None:
        # Devices are compared when they are known; until then they would be a difference each time.
        self._compared.append(compared_benchmark["machine_info"].pop(_MACHINE, {}))

    @pytest.hookimpl
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        for benchmark in output_json["benchmarks"]:
            params = benchmark["params"] or {}
            lane = params.get(LANE_FIXTURE)
            if isinstance(lane, Lane):
                others = {name: value for name, value in params.items() if name != LANE_FIXTURE}
                benchmark["params"] = {**others, "xdevice": f"{lane.device.name}-{lane.kind}"}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for saved in self._compared:
            for name, facts in self._devices.items():
                before = saved.get(name, facts)
                if before != facts:
                    terminalreporter.write_line(
                        f"xdevice: the figures compared with are of another {name}: {_text(before)}; this is "
                        f"{_text(facts)}",
                        yellow=True,
                    )


def device_facts(device: Device) -> dict[str, str]:
    """Return what of a device decides how fast it is: processor, target and system, and for OpenCL the driver."""
    from .report.device import processor_name

    info = device.info
    facts = {
        "processor": processor_name(device),
        "target": str(device.target),
        "system": f"{info.system} {info.release}",
    }
    if device.kind == "opencl":
        facts["driver"] = device.session.opencl_devices()[0].driver
    return facts


def kernel_facts(record: TimingRecord) -> dict[str, Any]:
    """Return what was measured and the rates, as JSON has it."""
    timing = record.timing
    facts: dict[str, Any] = {"kernel": record.kernel, "arguments": list(record.arguments), "threads": record.threads}
    for name, amount, rate, unit in (
        ("bytes", timing.bytes, timing.bytes_per_second, "GB/s"),
        ("flops", timing.flops, timing.flops_per_second, "GFLOP/s"),
    ):
        if amount is not None:
            facts[name] = amount
        if rate is not None:
            facts[unit] = rate / 1e9
    return facts


class _NotMeasured(XDeviceError):
    """What pytest-benchmark sees instead of a kernel's error."""


def _tell_failure(benchmark: Any) -> None:
    """Let pytest-benchmark know that its fixture was used and failed: otherwise it warns that nobody used it."""

    def fail() -> None:
        raise _NotMeasured

    with contextlib.suppress(_NotMeasured):
        benchmark.pedantic(fail)


def _text(facts: dict[str, str]) -> str:
    return ", ".join(facts.values())
