"""What a failing test leaves with ``--xdevice-artifacts DIR``: kernels, arguments, a script that runs them again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

import numpy as np

from .artifact import Artifact
from .artifact import ENTRY
from .device_array import DeviceArray
from .errors import CompileError
from .errors import XDeviceError
from .kernel.opencl_types import LocalBytes
from .kernel.opencl_types import RecordType
from .kernel.opencl_types import VectorType
from .kernel.types import ScalarType
from .target import Target
from .toolchain import llvm

if TYPE_CHECKING:
    from .device_info import NamedDevice
    from .kernel.binding import Binding
    from .ndrange import NDRange

_LONGEST_NAME: Final = 120
_RERUN: Final = '''\
"""Run {kernel} again with the arguments of {test}: python rerun.py [DEVICE], as in --xdevice=DEVICE."""

import sys
from pathlib import Path

import numpy as np

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.remote import Session

here = Path(__file__).parent
spec = sys.argv[1] if len(sys.argv) > 1 else {address!r}
session = Session.open(DeviceConfig(spec, spec))
try:
    device = session.device({kind!r})
    function = device.load(here / {artifact!r})
    arguments = {{
{arguments}
    }}
    function(*arguments.values(){options})
    for name, value in arguments.items():
        print(name, value.numpy() if hasattr(value, "numpy") else value)
finally:
    session.close()
'''

# The objects of C are made from where the sources are, by the compiler that this host has.
_MAKE_AGAIN: Final = """
Make it again of its parts, as far as they are still where `commands.txt` has them, and run that:

    sh commands.txt && mv kernel.so {kernel}
"""


@dataclass(frozen=True)
class KeptLaunch:
    """The last launch of one kernel in a test, with copies of the arrays that came from the host."""

    artifact: Artifact
    values: tuple[Any, ...]
    shapes: tuple[tuple[int, ...] | None, ...]
    ndrange: NDRange | None


class KeptLaunches:
    """The launches of a test, one for each kernel."""

    def __init__(self) -> None:
        self._launches: dict[str, KeptLaunch] = {}

    def note(self, artifact: Artifact, binding: Binding, ndrange: NDRange | None) -> None:
        """Remember a launch instead of the former one of the same kernel."""
        values = tuple(value.copy() if isinstance(value, np.ndarray) else value for value in binding.values)
        self._launches[artifact.key] = KeptLaunch(artifact, values, binding.shapes, ndrange)

    def write(self, directory: Path, test: str, device: NamedDevice) -> Path | None:
        """Write a folder for `test` below `directory`, and in it one for each kernel.

        Returns
        -------
        Path or None
            The folder; None when nothing was launched.
        """
        if not self._launches:
            return None
        folder = directory / re.sub(r"[^\w.\[\]-]+", "-", test).strip("-")[-_LONGEST_NAME:]
        seen: Counter[str] = Counter()
        for launch in self._launches.values():
            name = launch.artifact.name
            seen[name] += 1
            place = folder / (name if seen[name] == 1 else f"{name}-{seen[name]}")
            place.mkdir(parents=True, exist_ok=True)
            _write_artifact(place, launch.artifact)
            arguments = list(_write_arguments(place, launch))
            _write_text(place / "rerun.py", _rerun(launch, arguments, test, device))
            _write_text(place / "README.md", _readme(launch.artifact, test, device))
        return folder


def _write_artifact(folder: Path, artifact: Artifact) -> None:
    artifact.save(folder / _file_of(artifact))
    for name, data in artifact.inputs.items():
        (folder / name).write_bytes(data)
    _write_made(folder / f"{artifact.name}.ll", lambda: artifact.llvm_ir.encode())
    _write_made(folder / f"{artifact.name}.s", lambda: artifact.assembly.encode())
    if ENTRY in artifact.inputs:
        _write_made(folder / "entry.o", lambda: _entry_object(artifact))


def _entry_object(artifact: Artifact) -> bytes:
    """Compile the entry by itself, which the commands link with the kernel's objects."""
    machine = Target.parse(artifact.target).machine
    return llvm.shared().compile(artifact.inputs[ENTRY].decode(), machine).object


def _write_made(path: Path, make: Callable[[], bytes]) -> None:
    """Write what a compiler makes now, if anything; why not, where the source is gone or wrong by now."""
    try:
        data = make()
    except CompileError as error:
        path, data = path.with_name(f"{path.name}.txt"), f"{error}\n".encode()
    if data:
        path.write_bytes(data)


def _file_of(artifact: Artifact) -> str:
    suffix = "cl" if artifact.kind == "opencl" else "so" if artifact.is_linked else "o"
    return f"kernel-{artifact.name}.{suffix}"


def _write_arguments(folder: Path, launch: KeptLaunch) -> Iterator[str]:
    """Write the arguments, and yield a line of Python for each that makes it again."""
    for param, value, shape in zip(launch.artifact.signature.params, launch.values, launch.shapes, strict=True):
        path = folder / f"{param.name}.npy"
        loaded = f"np.load(here / {path.name!r})"
        if isinstance(param.type, (ScalarType, VectorType, RecordType)):
            np.save(path, value)
            yield f"{param.name!r}: {loaded}[()],"
        elif isinstance(value, LocalBytes):
            yield f"{param.name!r}: {value.nbytes},  # bytes of local memory"
        elif value is None:
            yield f"{param.name!r}: device.empty({shape}, {param.type.element.dtype_name!r}),"  # type: ignore[union-attr]
        elif isinstance(value, DeviceArray):
            yield from _write_resident(path, param.name, value, loaded)
        elif isinstance(value, np.ndarray):
            np.save(path, value)
            yield f"{param.name!r}: device.array({loaded}),"
        else:
            yield f"{param.name!r}: {value!r},"


def _write_resident(path: Path, name: str, array: DeviceArray, loaded: str) -> Iterator[str]:
    """Write an array that lives on the device, as it is there after the launch."""
    try:
        np.save(path, array.numpy())
    except XDeviceError:
        yield f"{name!r}: device.empty({array.shape}, {array.dtype.name!r}),  # its contents went with the worker"
    else:
        yield f"{name!r}: device.array({loaded}),  # as it was after the launch"


def _rerun(launch: KeptLaunch, arguments: list[str], test: str, device: NamedDevice) -> str:
    options = ""
    if launch.ndrange is not None:
        ndrange = launch.ndrange
        options = "".join(
            f", {name}={value}"
            for name, value in (
                ("global_size", ndrange.global_size),
                ("local_size", ndrange.local_size),
                ("offset", ndrange.offset),
            )
            if value is not None
        )
    return _RERUN.format(
        kernel=launch.artifact.name,
        test=test,
        address=device.address,
        kind=device.kind,
        artifact=_file_of(launch.artifact),
        arguments="\n".join(f"        {line}" for line in arguments),
        options=options,
    )


def _readme(artifact: Artifact, test: str, device: NamedDevice) -> str:
    return f"""\
# {artifact.name}

Kept of `{test}`, which failed on {device.name} ({device.address}).

| | |
| --- | --- |
| signature | `{artifact.signature}` |
| target | `{artifact.target}` |
| `{_file_of(artifact)}` | what was loaded on the device |
| `1.c`, `*.ll`, `*.s`, `*.o`, `commands.txt` | what it was made of, and the commands, as far as there are any |
| `*.npy` | the arguments: of arrays that live on the device, what was in them after the launch |

Run it again with the same arguments, here or on another device that the target fits:

    python rerun.py                     # on {device.address}
    python rerun.py ssh://user@host
{_MAKE_AGAIN.format(kernel=_file_of(artifact)) if ENTRY in artifact.inputs else ""}"""


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
