"""Each step to a device in its order; the first that fails ends what cannot work without it."""

from __future__ import annotations

import platform
import socket
import sys
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from ..config import DeviceConfig
from ..config import resolve_device
from ..config import Settings
from ..disturbances import BUSY
from ..disturbances import END_OTHERS
from ..disturbances import FIX_CLOCKS
from ..disturbances import load_text
from ..errors import AuthenticationError
from ..errors import JumpHostError
from ..errors import TargetError
from ..errors import XDeviceError
from ..remote import DeviceKind
from ..remote import Session
from ..report.device import cpu_name
from ..report.device import opencl_text
from ..target import this_boot
from ..timing import format_seconds
from ..transport.labgrid import ACQUIRED
from ..transport.lease import own_name
from ..transport.spec import parse
from ..transport.spec import Spec
from ..transport.ssh_command import SSH_FAILED
from .kernels import add_one
from .kernels import nothing
from .step import State
from .step import Step

_OLDEST_PYTHON: Final = (3, 8)
_REACH_SECONDS: Final = 10.0
_WAYS: Final = {
    "socket": "the server took the token, or asks for none",
    "ssh": "ssh logged in",
    "labgrid": "ssh logged in",
}
_ACQUIRED: Final = "the labgrid coordinator gave it"
_SSH_REFUSALS: Final = ("Permission denied", "Host key verification failed", "Too many authentication failures")
_SIZE: Final = 1024
_UNSTEADY: Final = 0.05  # spread of an empty kernel's samples, as a part of their median


def device_steps(spec: str, settings: Settings, pyproject: Path, own: Path | None = None) -> Iterator[Step]:
    """Yield the steps to a device and on it.

    Parameters
    ----------
    spec : str
    settings : Settings
    pyproject, own : Path
        The files with the named devices, as `resolve_devices` has them.
    """
    try:
        device = resolve_device(spec, pyproject, own)
        parsed = parse(device.address)
    except XDeviceError as error:
        yield _step("specification", "failed", str(error))
        return
    yield _step("specification", "ok", f"{device.address} ({parsed.kind})")
    if parsed.kind == "socket" and not parsed.via:
        reached = _reach(parsed)
        yield reached
        if reached.state == "failed":
            return
    try:
        session = _open(device, settings)
    except XDeviceError as error:
        yield from _refused(error, parsed)
        return
    try:
        yield from _open_steps(session, parsed)
        others = session.known_opencl_devices[1:]
    except XDeviceError as error:
        yield _step("session", "failed", str(error), "see whether the device is still on, and try again")
        return
    finally:
        session.close()
    for name in dict.fromkeys(other.name for other in others):
        yield _other_opencl(device, replace(settings, opencl=name))


def _step(name: str, state: State, found: str, mend: str = "") -> Step:
    return Step("device", name, state, found, mend)


def _reach(spec: Spec) -> Step:
    """Look up the host's name and connect to its port."""
    try:
        socket.create_connection((spec.host, spec.port or 0), _REACH_SECONDS).close()
    except socket.gaierror as error:
        mend = "check the spelling, or give the device's address in numbers"
        return _step("network", "failed", f"no address for {spec.host!r}: {error.strerror}", mend)
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        mend = (
            f"start the server on the device: python3 xdevice-runtime.pyz --host 0.0.0.0 --port {spec.port}; "
            "if it runs, check the port and firewalls between"
        )
        return _step("network", "failed", f"cannot connect to {spec.host}:{spec.port}: {why}", mend)
    return _step("network", "ok", f"{spec.host}:{spec.port} takes connections")


def _open(device: DeviceConfig, settings: Settings) -> Session:
    return Session.open(device, settings, progress=_tell)


def _tell(text: str) -> None:
    """Say what is waited for; not that it is a session of our own, which ended a moment ago."""
    if own_name() not in text:
        print(text, file=sys.stderr)


def _refused(error: XDeviceError, spec: Spec) -> Iterator[Step]:
    """Yield the step at which opening a session failed; the errors of transports say what to do."""
    if isinstance(error, JumpHostError):
        yield _step("jump hosts", "failed", str(error))
        return
    yield from _jump_hosts(spec)
    if isinstance(error, AuthenticationError):
        yield _step("authentication", "failed", str(error))
    elif isinstance(error, TargetError):
        yield _step("target", "failed", str(error))
    elif spec.kind == "ssh":
        yield from _refused_by_ssh(str(error))
    elif spec.kind == "labgrid":
        yield from _refused_by_labgrid(str(error))
    else:
        yield _step("runtime", "failed", str(error))


def _jump_hosts(spec: Spec) -> Iterator[Step]:
    if spec.via:
        yield _step("jump hosts", "ok", f"through {', '.join(spec.via)}")


def _refused_by_labgrid(text: str) -> Iterator[Step]:
    """Yield whether a place was acquired, and how far ssh got to its device."""
    if not text.startswith(ACQUIRED):
        yield _step("place", "failed", text)
        return
    yield _step("place", "ok", _ACQUIRED)
    yield from _refused_by_ssh(text)


def _refused_by_ssh(text: str) -> Iterator[Step]:
    """Yield how far ssh got, by its own words: it has one exit status for all that is not the remote command's."""
    failed = f"(exit status {SSH_FAILED})" in text
    refused = failed and any(words in text for words in _SSH_REFUSALS)
    if failed and not refused:
        yield _step("network", "failed", text)
        return
    yield _step("network", "ok", "ssh connects")
    if refused:
        yield _step("authentication", "failed", text)
        return
    yield _step("authentication", "ok", _WAYS["ssh"])
    yield _step("runtime", "failed", text)


def _open_steps(session: Session, spec: Spec) -> Iterator[Step]:
    """Yield what there is on a device that a session was opened with."""
    info = session.info
    yield from _jump_hosts(spec)
    if spec.kind == "labgrid":
        yield _step("place", "ok", _ACQUIRED)
    if spec.kind in ("ssh", "labgrid"):
        yield _step("network", "ok", "ssh connects")
    yield _step("authentication", "ok", _WAYS.get(spec.kind, "none needed"))
    version = tuple(int(part) if part.isdigit() else 0 for part in info.python.split(".")[:2])
    if version < _OLDEST_PYTHON:
        yield _step("Python there", "failed", info.python, "install Python 3.8 or newer on the device")
    else:
        yield _step("Python there", "ok", f"{info.python}, {info.bits}-bit, {' '.join(info.libc)}")
    yield _step("runtime", "ok", f"started on {info.hostname} ({info.system} {info.release}, {info.machine})")
    try:
        session.worker("cpu")
    except XDeviceError as error:
        yield _step("stream", "failed", str(error))
        return
    yield _step("stream", "ok", "a worker answers")
    yield _step("target", "ok", str(session.target))
    yield _step("features", "ok", f"{cpu_name(session)}, which names {len(info.features)} (see `xdevice info`)")
    yield from _cpu_steps(session)
    yield from _opencl_steps(session)
    yield _disturbances(session)


def _cpu_steps(session: Session) -> Iterator[Step]:
    """Yield whether a kernel can be linked, whether it runs on the CPU, and how finely it can be timed."""
    linker = _linker(session)
    yield linker
    if linker.state == "failed":
        return
    ran = _kernel(session, "cpu", "kernel on the CPU")
    yield ran
    if ran.state == "ok":
        yield _attempt("timer", lambda: _timer(session))


def _linker(session: Session) -> Step:
    if session.compiler.linker_for(session.target) is not None:
        return _step("linker", "ok", "this host links for the target")
    if session.info.cc:
        return _step("linker", "ok", f"the device links by {session.info.cc}; this host has no linker for it")
    mend = 'on this host: pip install "pytest-xdevice[toolchain]", or Debian\'s lld; or on the device: apt install gcc'
    return _step("linker", "failed", f"none for {session.target.triple}, neither here nor on the device", mend)


def _kernel(session: Session, kind: DeviceKind, name: str) -> Step:
    return _attempt(name, lambda: _add_one(session, kind, name))


def _attempt(name: str, look: Callable[[], Step]) -> Step:
    """Return what `look` found, or the error that it met as the step `name`."""
    try:
        return look()
    except XDeviceError as error:
        return _step(name, "failed", str(error))


def _add_one(session: Session, kind: DeviceKind, name: str) -> Step:
    device = session.device(kind)
    values = np.arange(_SIZE, dtype=np.float32)
    try:
        result = device.run(add_one, values)
    finally:
        device.release()
    wrong = int(np.count_nonzero(result != values + 1))
    if wrong:
        mend = "the target may not fit the device: see `xdevice info`, and give --xdevice-target"
        if kind == "opencl":
            mend = "the device's OpenCL driver computes wrongly: try a newer one, or another device"
        return _step(name, "failed", f"add_one gave {wrong} wrong elements of {_SIZE}", mend)
    return _step(name, "ok", f"add_one of {_SIZE} elements is right")


def _timer(session: Session) -> Step:
    """Time a kernel that does nothing."""
    device = session.device("cpu")
    try:
        timing = device.compile(nothing).time(device.array(np.zeros(1, np.float32)))
    finally:
        device.release()
    tick = session.conditions()["tick"]
    spread = timing.iqr / timing.median
    found = (
        f"an empty kernel takes {format_seconds(timing.median)}, with a spread of {100 * spread:.1f} % in "
        f"{timing.repeat} samples; the clock's tick is {format_seconds(tick)}"
    )
    if spread > _UNSTEADY:
        return _step("timer", "note", found, "see what disturbs timing, below")
    return _step("timer", "ok", found)


def _opencl_steps(session: Session) -> Iterator[Step]:
    """Yield the OpenCL devices there are, and a kernel on the one that is used."""
    devices = session.opencl_devices()
    if not devices:
        problem = (session.opencl_problem or "no device").removeprefix(f"{session.name}: ")
        yield _step("OpenCL", "note", problem)
        return
    yield _step("OpenCL", "ok", "; ".join(map(opencl_text, devices)))
    yield _kernel(session, "opencl", f"kernel on {devices[0].name}")


def _other_opencl(device: DeviceConfig, settings: Settings) -> Step:
    """Run a kernel on an OpenCL device that is not the one used by default, so that a run can do without it."""
    name = f"kernel on {settings.opencl}"
    try:
        session = _open(device, settings)
    except XDeviceError as error:
        return _step(name, "note", str(error))
    try:
        devices = session.opencl_devices()
        if not devices or devices[0].name != settings.opencl:
            return _step(name, "note", "not tried: no part of its name chooses it before others")
        ran = _kernel(session, "opencl", name)
        return ran if ran.state == "ok" else replace(ran, state="note")
    finally:
        session.close()


def _disturbances(session: Session) -> Step:
    """Return what makes timings differ from one run to the next."""
    conditions = session.conditions()
    load, governors, cores = conditions["load"], conditions["governors"], session.info.cores
    troubles, mends = [], []
    if load is not None and load > BUSY * cores:
        troubles.append(load_text(load, cores))
        mends.append(END_OTHERS)
    if set(governors) - {"performance"}:
        troubles.append(f"clocks that change (governor {', '.join(governors)})")
        mends.append(FIX_CLOCKS)
    if cores == 1:
        troubles.append("a single core, which the system needs as well")
    machine = _emulated(session)
    if machine:
        troubles.append(machine)
        mends.append("take timings on the hardware itself")
    if troubles:
        return _step("disturbances", "note", "; ".join(troubles), "; ".join(mends))
    governed = f"governor {', '.join(governors)}" if governors else "no governor to be read"
    return _step("disturbances", "ok", f"none seen: load {_load(load)}, {cores} cores, {governed}")


def _load(load: float | None) -> str:
    return "not known" if load is None else f"{load:.1f}"


def _emulated(session: Session) -> str:
    """Return in words whether the processor is no real one, as far as can be told from here."""
    info = session.info
    same_machine = bool(info.boot_id) and info.boot_id == this_boot()
    if same_machine and info.machine != platform.machine():
        return f"{info.machine} emulated on this host ({platform.machine()})"
    return "a virtual machine" if "hypervisor" in info.features else ""
