"""Lanes: the combinations of device and kind on which a test runs, known from configuration alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from .config import DeviceConfig
from .errors import ConfigError
from .options import Kind

# The fixture that carries a test's lane; `xdevice` and `xdevice_session` are made for it.
LANE_FIXTURE = "_xdevice_lane"


@dataclass(frozen=True)
class Lane:
    """A device, and what of it a test runs on."""

    device: DeviceConfig
    kind: Kind


@dataclass(frozen=True)
class OpenLane:
    """What of a device a test runs on, where its device is chosen when its turn comes."""

    kind: Kind


def uses_device(node: pytest.Item | pytest.Metafunc) -> bool:
    """Return whether a test asks for a device, through whatever fixtures."""
    return LANE_FIXTURE in getattr(node, "fixturenames", ())


def kinds_of(node: pytest.Item, default: Kind) -> tuple[Kind, ...]:
    """Return what a test runs on: what its markers and those of its class and module say, else `default`."""
    marked: list[Kind] = [kind for kind in ("cpu", "opencl") if node.get_closest_marker(kind) is not None]
    return tuple(marked) or (default,)


def one_kind_of(node: pytest.Item, default: Kind) -> Kind:
    """Return what a test runs on that could not be parametrised, such as a method of a `unittest.TestCase`.

    Raises
    ------
    ConfigError
        If it is marked for both kinds.
    """
    kind, *others = kinds_of(node, default)
    if others:
        raise ConfigError(
            "this test cannot be run on both cpu and opencl, since it asks for xdevice without naming it as an "
            "argument of a test function; do that, or mark it for one of them"
        )
    return kind


def parametrize(
    metafunc: pytest.Metafunc, devices: Sequence[DeviceConfig], default: Kind, *, named: bool = False
) -> None:
    """Make a test run once on each of `devices` and each kind that it is marked for.

    Its id names the device where there are several, and with `named` where there is one as well.
    """
    kinds = kinds_of(metafunc.definition, default)
    names = identifiers(devices)
    lanes = [Lane(device, kind) for device in devices for kind in kinds]
    ids = [f"{name}-{kind}" if named or len(devices) > 1 else kind for name in names for kind in kinds]
    metafunc.parametrize(LANE_FIXTURE, lanes, ids=ids, indirect=True, scope="session")


def parametrize_openly(metafunc: pytest.Metafunc, default: Kind) -> None:
    """Make a test run once on each kind that it is marked for, on a device that is chosen when its turn comes."""
    kinds = kinds_of(metafunc.definition, default)
    metafunc.parametrize(LANE_FIXTURE, [OpenLane(kind) for kind in kinds], ids=kinds, indirect=True, scope="session")


def identifiers(devices: Sequence[DeviceConfig]) -> list[str]:
    """Return a name for each device that is unique and can stand in a test id."""
    found: list[str] = []
    for device in devices:
        safe = re.sub(r"[^\w.:@=+-]+", "-", device.name.replace("://", "-"), flags=re.ASCII).strip("-:") or "device"
        name, count = safe, 1
        while name in found:
            count += 1
            name = f"{safe}-{count}"
        found.append(name)
    return found


def lane_of(item: pytest.Item) -> Lane | OpenLane | None:
    """Return the lane that a test was collected for, or None."""
    callspec = getattr(item, "callspec", None)
    lane = callspec.params.get(LANE_FIXTURE) if callspec is not None else None
    return lane if isinstance(lane, (Lane, OpenLane)) else None


def end_lane(item: pytest.Item) -> None:
    """Tear down the fixtures that were made on a device, those of the user too, before another takes its place.

    pytest itself does so when a test with another parameter asks for the fixture, which is too late: by then the
    process would have both devices.
    """
    definitions = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    for definition in definitions.get(LANE_FIXTURE, ()):
        definition.finish(item._request)  # type: ignore[attr-defined]
