"""What compilation makes: one kernel for one target, with everything a launch and a reader need."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any
from typing import Final
from typing import Literal
from typing import Protocol
from typing import runtime_checkable
from typing import TYPE_CHECKING
from typing import TypeGuard

from .errors import ArgumentError
from .errors import XDeviceError
from .kernel.geometry import Phase
from .kernel.signature import Signature
from .toolchain.shared_library import SharedLibrary

if TYPE_CHECKING:
    from .kernel.launch_shape import LaunchShape
    from .target import Target
    from .toolchain.parts import Parts
    from .toolchain.parts import Workshop

FORMAT: Final = 2
SECTION: Final = ".xdevice"
ENTRY: Final = "entry.ll"  # among the inputs of a kernel in another language
_OPENCL_HEADER: Final = "// xdevice "


@dataclass(frozen=True)
class Built:
    """What a report tells of an artifact; `size` is that of its object or program, in bytes."""

    kind: Literal["cpu", "opencl"]
    kernel: str
    target: str
    threads: int
    key: str
    size: int


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
    ir : str or callable
        LLVM IR after optimisation, or what makes it when `llvm_ir` is asked for.
    source : str
        The source of a kernel in another language than ours; empty for an artifact that was loaded from a file.
    library : SharedLibrary, optional
        The prebuilt library that the kernel is in, which goes up with `object`.
    symbol : str
        The kernel's name in `library`.
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
    listing : callable, optional
        Makes `assembly` where that is not made of `llvm_ir`.
    inputs : mapping of str to bytes
        What a kernel in another language was linked of, by file names, and ``commands.txt``.
    """

    kind: Literal["cpu", "opencl"]
    signature: Signature
    target: str
    key: str
    object: bytes = b""
    ir: str | Callable[[], str] = field(default="", repr=False, compare=False)
    opencl_source: str = ""
    phases: tuple[Phase, ...] = ()
    carry_bytes: int = 0
    threads: int = 1
    build_options: tuple[str, ...] = ()
    is_handwritten: bool = False
    source: str = field(default="", repr=False, compare=False)
    library: SharedLibrary | None = field(default=None, repr=False)
    symbol: str = ""
    listing: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    inputs: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.signature.name

    @property
    def entry(self) -> str:
        """The exported symbol of a CPU kernel."""
        return f"xd_{self.signature.name}"

    @property
    def built(self) -> Built:
        """What a report tells of it, to be kept where its code is not."""
        size = len(self.object) if self.kind == "cpu" else len(self.opencl_source.encode())
        return Built(self.kind, self.name, self.target, self.threads, self.key, size)

    @cached_property
    def llvm_ir(self) -> str:
        """LLVM IR after optimisation; empty for OpenCL, for an artifact from a file, and where GCC compiled."""
        return self.ir if isinstance(self.ir, str) else self.ir()

    @cached_property
    def assembly(self) -> str:
        """The assembly made of the kernel, printed when it is first asked for; empty for an artifact from a file."""
        if self.listing is not None:
            return self.listing()
        if not self.llvm_ir:
            return ""
        from .target import Target
        from .toolchain import llvm

        return llvm.shared().assemble(self.llvm_ir, Target.parse(self.target).machine)

    @property
    def small(self) -> Artifact:
        """The OpenCL program built for launches in which indices fit 32 bits; see `kernel.small_integers`."""
        return replace(self, key=f"{self.key}-small", build_options=(*self.build_options, "-DXD_SMALL"))

    @property
    def is_linked(self) -> bool:
        """Whether `object` is a shared library that can be loaded, not an object file that is yet to be linked."""
        from .toolchain.elf import ElfFile

        return bool(self.object) and ElfFile(self.object).is_shared

    def description(self) -> str:
        """Return the JSON text by which a saved artifact describes itself."""
        return describe(
            self.signature, self.target, self.key, self.phases, self.carry_bytes, self.threads, self.build_options,
            is_handwritten=self.is_handwritten, library=self.library.name if self.library else "", symbol=self.symbol,
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write the artifact to a file: the shared library for a CPU (``.so``), the program for OpenCL (``.cl``).

        A prebuilt library that it calls is written beside it, under its own name.

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        OSError
            If the file cannot be written.
        XDeviceError
            If the two would have one name.
        """
        path = Path(path)
        if self.kind == "opencl":
            path.write_text(f"{_OPENCL_HEADER}{self.description()}\n{self.opencl_source}", encoding="utf-8")
        else:
            if self.library and path.name == self.library.name:
                raise XDeviceError(f"{path.name} is the library that the kernel is in: save under another name")
            path.write_bytes(self.object)
            if self.library:
                (path.parent / self.library.name).write_bytes(self.library.data)
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
                return cls._from_library(data, Path(path).parent)
            return cls._from_program(data.decode("utf-8"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise XDeviceError(
                f"{path} is no artifact of this package ({error}); it takes files that Artifact.save() wrote"
            ) from None

    @classmethod
    def _from_library(cls, data: bytes, folder: Path) -> Artifact:
        from .toolchain.elf import ElfFile

        section = ElfFile(data).section(SECTION)
        if section is None:
            raise ValueError(f"an ELF file without a section {SECTION}")
        facts = _read_description(section.decode("utf-8"))
        name = facts.pop("library")
        return cls("cpu", object=data, library=_beside(folder, name) if name else None, **facts)

    @classmethod
    def _from_program(cls, text: str) -> Artifact:
        first, newline, source = text.partition("\n")
        if not newline or not first.startswith(_OPENCL_HEADER):
            raise ValueError(f"neither an ELF file nor OpenCL C that starts with {_OPENCL_HEADER.strip()!r}")
        facts = {**_read_description(first[len(_OPENCL_HEADER) :]), "library": None}
        return cls("opencl", opencl_source=source, **facts)


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
    library: str = "",
    symbol: str = "",
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
    if library:
        facts.update(library=library, symbol=symbol)
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
        "library": str(facts.get("library", "")),
        "symbol": str(facts.get("symbol", "")),
    }


def _beside(folder: Path, name: str) -> SharedLibrary:
    try:
        return SharedLibrary(name, (folder / Path(name).name).read_bytes())
    except OSError as error:
        raise ValueError(f"it calls {name}, which is to lie beside it: {error.strerror}") from None


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
class LinkedSource(KernelSource, Protocol):
    """A kernel whose code comes as object files: its `llvm_ir` is only the entry that calls it."""

    def parts(self, target: Target, workshop: Workshop) -> Parts:
        """Return what is to be linked with the entry for `target`."""
        ...

    def revision(self, target: Target) -> object:
        """Return the same object as long as what `parts` would return stays the same."""
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


_SOURCES: Final[weakref.WeakSet[type]] = weakref.WeakSet()  # classes of which an instance was seen to be a source


def is_source(kernel: object) -> TypeGuard[KernelSource]:
    """Return what `isinstance` says of a `KernelSource`, which is slow at it: each class is looked at once."""
    if type(kernel) not in _SOURCES:
        if not isinstance(kernel, KernelSource):
            return False
        _SOURCES.add(type(kernel))
    return True


def no_kernel(given: object) -> ArgumentError:
    """Return the error for what is given instead of a kernel."""
    if isinstance(getattr(given, "artifact", None), Artifact):
        return ArgumentError(f"{given!r} is loaded already: call it with arrays on the device, or pass its kernel")
    return ArgumentError(f"{given!r} is no kernel: decorate the function with @kernel")


def is_linked(source: KernelSource) -> TypeGuard[LinkedSource]:
    """Return whether a source is a `LinkedSource`, asked at every launch."""
    return hasattr(source, "parts") and hasattr(source, "revision")
