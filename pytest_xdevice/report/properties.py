"""A test's facts about its device as user properties: for JUnit XML, and to travel between xdist's processes.

Values are plain text: anything else, a NumPy scalar for one, does not survive the way to another process.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Final
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..counters import Counters
    from ..counters import Events
    from ..disturbances import Conditions
    from ..timing import TimingRecord

DEVICE: Final = "xdevice.device"
KIND: Final = "xdevice.kind"
TARGET: Final = "xdevice.target"
TIMING: Final = "xdevice.timing"
BASELINE: Final = "xdevice.baseline"
KEPT: Final = "xdevice.kept"
UNREACHABLE: Final = "xdevice.unreachable"
QUARANTINED: Final = "xdevice.quarantined"
CRASH: Final = "xdevice.crash"
_PREFIX: Final = "xdevice."


def forget_all(item: pytest.Item) -> None:
    """Remove our properties of a test, which an earlier attempt to run it has left."""
    item.user_properties[:] = [entry for entry in item.user_properties if not entry[0].startswith(_PREFIX)]


def set_property(item: pytest.Item, name: str, value: str) -> None:
    """Give a test a user property in place of one of that name."""
    item.user_properties[:] = [entry for entry in item.user_properties if entry[0] != name]
    add_property(item, name, value)


def add_property(item: pytest.Item, name: str, value: str) -> None:
    """Add a user property to a test, for the reports that are made from now on."""
    item.user_properties.append((name, str(value)))


def add_timing(item: pytest.Item, record: TimingRecord, processor: str) -> None:
    """Add a measurement, taken on that processor, to a test's user properties, as JSON text."""
    timing = record.timing
    add_property(
        item,
        TIMING,
        json.dumps(
            {
                "kernel": str(record.kernel),
                "target": str(record.target),
                "arguments": [str(argument) for argument in record.arguments],
                "threads": int(record.threads),
                "key": str(record.key),
                "processor": str(processor),
                "mean": float(timing.mean),
                "stdev": float(timing.stdev),
                "median": float(timing.median),
                "iqr": float(timing.iqr),
                "outliers": int(timing.outliers),
                "min": float(timing.min),
                "max": float(timing.max),
                "number": int(timing.number),
                "bytes": None if timing.bytes is None else int(timing.bytes),
                "flops": None if timing.flops is None else int(timing.flops),
                "conditions": _facts(timing.conditions),
                "counters": _facts(timing.counters),
                "counters_missing": str(timing.counters_missing),
                "events": _facts(timing.events),
                "results": [float(seconds) for seconds in timing.results],
            }
        ),
    )


def _facts(found: Conditions | Counters | Events | None) -> dict[str, object] | None:
    return None if found is None else dataclasses.asdict(found)
