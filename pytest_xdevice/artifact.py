"""What compilation makes: one kernel for one target, with everything a launch and a reader need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Literal
from typing import Protocol
from typing import runtime_checkable

from .kernel.geometry import Phase
from .kernel.signature import Signature

if TYPE_CHECKING:
    from .target import Target


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
    llvm_ir, assembly : str
        LLVM IR after optimisation, and the assembly made of it; empty for OpenCL.
    opencl_source : str
        The OpenCL C program; empty for a CPU kernel.
    phases : tuple of Phase
        The launches that make up an OpenCL kernel, in order; empty for a CPU kernel.
    """

    kind: Literal["cpu", "opencl"]
    signature: Signature
    target: str
    key: str
    object: bytes = b""
    llvm_ir: str = ""
    assembly: str = ""
    opencl_source: str = ""
    phases: tuple[Phase, ...] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.signature.name

    @property
    def entry(self) -> str:
        """The exported symbol of a CPU kernel."""
        return f"xd_{self.signature.name}"


@dataclass(frozen=True)
class OpenCLProgram:
    """OpenCL C with the geometry of its launches."""

    source: str
    phases: tuple[Phase, ...]


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
