"""What compilation makes: one kernel for one target, with everything a launch and a reader need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from typing import Final
from typing import Literal
from typing import Protocol
from typing import runtime_checkable
from typing import TYPE_CHECKING

from .errors import XDeviceError
from .kernel.geometry import Phase
from .kernel.signature import Signature

if TYPE_CHECKING:
    from .kernel.launch_shape import LaunchShape
    from .target import Target

FORMAT: Final = 1
SECTION: Final = ".xdevice"
_OPENCL_HEADER: Final = "// xdevice "


@dataclass(frozen=True)
class Artifact:
    """A kernel built for a target.

    Attributes
    ----------
    kind : {"cpu", "opencl"}
        What it runs on.
    signature : Signature
        The kernel's name, parameters and dims.
    target : str
        The target in TVM's spelling, ``"llvm -mtriple=... -mcpu=... -mattr=..."``, or ``"opencl"``.
    key : str
        Content address: 64 hexadecimal digits that change with the source, the target and the tools.
    object : bytes
        The ELF shared library for the target, or a relocatable object when this host has no linker for it
        and the device must link; empty for OpenCL.
    llvm_ir : str
        LLVM IR after optimisation; empty for OpenCL, and for an artifact that was loaded from a file.
    opencl_source : str
        The OpenCL C program; empty for a CPU kernel.
    phases : tuple of Phase
        The launches that make up an OpenCL kernel, in order; empty for a CPU kernel.
    carry_bytes : int
        Size of the buffer in which one launch leaves locals for the next, passed to every launch as its last
        argument; 0 when there is none, and no such argument.
    threads : int
        How many threads run the parallel loops of a CPU kernel, the caller's included.
    build_options : tuple of str
        Options with which a device builds an OpenCL program, beside those that every program gets there.
    is_handwritten : bool
        Whether it is a kernel in OpenCL C: a device says what parameters it takes, and a launch how large it is.
    """

    kind: Literal["cpu", "opencl"]
    signature: Signature
    target: str
    key: str
    object: bytes = b""
    llvm_ir: str = ""
    opencl_source: str = ""
    phases: tuple[Phase, ...] = ()
    carry_bytes: int = 0
    threads: int = 1
    build_options: tuple[str, ...] = ()
    is_handwritten: bool = False

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.signature.name

    @property
    def entry(self) -> str:
        """The exported symbol of a CPU kernel."""
        return f"xd_{self.signature.name}"

    @cached_property
    def assembly(self) -> str:
        """The assembly made of `llvm_ir`, printed when it is first asked for; empty where there is no IR."""
        if not self.llvm_ir:
            return ""
        from .target import Target
        from .toolchain import llvm

        return llvm.shared().assemble(self.llvm_ir, Target.parse(self.target).machine)

    @property
    def is_linked(self) -> bool:
        """Whether `object` is a shared library that can be loaded, not an object file that is yet to be linked."""
        from .toolchain.elf import ElfFile

        return bool(self.object) and ElfFile(self.object).is_shared

    def description(self) -> str:
        """Return the JSON text by which a saved artifact describes itself."""
        return describe(
            self.signature, self.target, self.key, self.phases, self.carry_bytes, self.threads, self.build_options,
            is_handwritten=self.is_handwritten,
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write the artifact to a file: the shared library for a CPU (``.so``), the program for OpenCL (``.cl``).

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        path = Path(path)
        if self.kind == "opencl":
            path.write_text(f"{_OPENCL_HEADER}{self.description()}\n{self.opencl_source}", encoding="utf-8")
        else:
            path.write_bytes(self.object)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Artifact:
        """Read what `save` wrote.

        Raises
        ------
        XDeviceError
            If the file cannot be read, or is none that `save` wrote.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise XDeviceError(f"cannot read the artifact {path}: {error.strerror or error}") from None
        try:
            if data.startswith(b"\x7fELF"):
                return cls._from_library(data)
            return cls._from_program(data.decode("utf-8"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise XDeviceError(
                f"{path} is no artifact of this package ({error}); it takes files that Artifact.save() wrote"
            ) from None

    @classmethod
    def _from_library(cls, data: bytes) -> Artifact:
        from .toolchain.elf import ElfFile

        section = ElfFile(data).section(SECTION)
        if section is None:
            raise ValueError(f"an ELF file without a section {SECTION}")
        return cls("cpu", object=data, **_read_description(section.decode("utf-8")))

    @classmethod
    def _from_program(cls, text: str) -> Artifact:
        first, newline, source = text.partition("\n")
        if not newline or not first.startswith(_OPENCL_HEADER):
            raise ValueError(f"neither an ELF file nor OpenCL C that starts with {_OPENCL_HEADER.strip()!r}")
        return cls("opencl", opencl_source=source, **_read_description(first[len(_OPENCL_HEADER) :]))


def describe(
    signature: Signature,
    target: str,
    key: str,
    phases: tuple[Phase, ...] = (),
    carry_bytes: int = 0,
    threads: int = 1,
    build_options: tuple[str, ...] = (),
    *,
    is_handwritten: bool = False,
) -> str:
    """Return the JSON text, one line of ASCII, by which an artifact describes itself."""
    facts: dict[str, Any] = {"format": FORMAT, "signature": signature.to_json(), "target": target, "key": key}
    if phases:
        facts["phases"] = [phase.to_json() for phase in phases]
        facts["carry_bytes"] = carry_bytes
    if threads > 1:
        facts["threads"] = threads
    if build_options:
        facts["build_options"] = build_options
    if is_handwritten:
        facts["is_handwritten"] = True
    return json.dumps(facts, separators=(",", ":"))


def _read_description(text: str) -> dict[str, Any]:
    facts = json.loads(text)
    if facts["format"] != FORMAT:
        raise ValueError(f"of format {facts['format']}, where this version reads format {FORMAT}: build it again")
    return {
        "signature": Signature.from_json(facts["signature"]),
        "target": str(facts["target"]),
        "key": str(facts["key"]),
        "phases": tuple(Phase.from_json(phase) for phase in facts.get("phases", ())),
        "carry_bytes": int(facts.get("carry_bytes", 0)),
        "threads": int(facts.get("threads", 1)),
        "build_options": tuple(map(str, facts.get("build_options", ()))),
        "is_handwritten": bool(facts.get("is_handwritten", False)),
    }


@dataclass(frozen=True)
class OpenCLProgram:
    """OpenCL C with the geometry of its launches, the bytes that they carry from one to the next, and build options.

    One that is written by hand leaves the geometry to each launch, and the parameters to the device.
    """

    source: str
    phases: tuple[Phase, ...]
    carry_bytes: int = 0
    build_options: tuple[str, ...] = ()
    is_handwritten: bool = False


@runtime_checkable
class KernelSource(Protocol):
    """Anything that `compile.build` accepts: a kernel of our language, or of another."""

    @property
    def signature(self) -> Signature:
        """Name, parameters and dims."""
        ...

    def llvm_ir(self, target: Target) -> str:
        """Return LLVM IR text that defines ``i64 @xd_<name>(ptr)`` for `target`, not yet optimised."""
        ...

    def opencl_program(self) -> OpenCLProgram:
        """Return the kernel as OpenCL C."""
        ...


@runtime_checkable
class ShapedSource(KernelSource, Protocol):
    """A kernel whose work-groups a launch may choose."""

    def with_shape(self, shape: LaunchShape) -> KernelSource:
        """Return the kernel with the work-groups of `shape`; ArgumentError where it has no loop for them."""
        ...


@runtime_checkable
class ThreadedSource(KernelSource, Protocol):
    """A kernel whose parallel loops threads can share."""

    def threaded_llvm_ir(self, target: Target, threads: int) -> str:
        """Return LLVM IR as of `llvm_ir`, with the loops run by so many threads, the caller's included."""
        ...
