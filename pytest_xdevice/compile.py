"""From a kernel to an artifact for a target: optimise, emit, link, and keep the result in a cache.

`build` is the whole of it for most; a `Compiler` holds the cache, the compiler process and the linkers.
"""

from __future__ import annotations

import contextlib
import functools
import json
import weakref
from collections.abc import Callable
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Final

from .artifact import Artifact
from .artifact import describe
from .artifact import ENTRY
from .artifact import is_linked
from .artifact import is_source
from .artifact import KernelSource
from .artifact import LinkedSource
from .artifact import no_kernel
from .artifact import SECTION
from .artifact import ThreadedSource
from .cached_artifacts import cache_key
from .cached_artifacts import digest_of
from .cached_artifacts import host_cpu_key
from .cached_artifacts import pack
from .cached_artifacts import unpack
from .device_info import DeviceInfo
from .errors import ArgumentError
from .errors import CompileError
from .kernel.signature import Signature
from .target import llvm_host_cpu
from .target import Target
from .target import this_boot
from .toolchain import llvm
from .toolchain.cache import Cache
from .toolchain.cache import default_directory
from .toolchain.fault_reporter import fault_reporter
from .toolchain.fault_reporter import SIGNATURE as FAULT_REPORTER
from .toolchain.find_linkers import find_linkers
from .toolchain.linker import Linker
from .toolchain.parts import NO_PARTS
from .toolchain.parts import Parts
from .toolchain.parts import Workshop
from .toolchain.timing_loop import SIGNATURE as TIMING_LOOP
from .toolchain.timing_loop import timing_loop

OPENCL: Final = "opencl"
MOST_THREADS: Final = 256


class Compiler:
    """Builds artifacts and remembers them, in memory and in a directory.

    Any thread may build; processes that share the directory do not disturb each other.

    Parameters
    ----------
    cache_directory : Path or str, optional
        Where artifacts and stub libraries are kept; the user's cache directory by default.
    linkers : tuple of Linker, optional
        In order of preference; what this host has, by default. With none that serves a target, its artifacts
        hold an object file, which the device has to link.
    """

    def __init__(self, cache_directory: str | Path | None = None, *, linkers: tuple[Linker, ...] | None = None) -> None:
        self._process: Final = llvm.shared()
        self._cache: Final = Cache(Path(cache_directory) if cache_directory else default_directory())
        self._given_linkers: Final = linkers
        self._built: dict[tuple[int, int, object], tuple[weakref.ref[KernelSource], object, Artifact]] = {}
        self._own: dict[tuple[str, Target, tuple[int, int] | None], Artifact] = {}

    @property
    def cache_directory(self) -> Path:
        """Where artifacts are kept."""
        return self._cache.directory

    @functools.cached_property
    def linkers(self) -> tuple[Linker, ...]:
        """The linkers in use, the preferred one first."""
        return find_linkers(self._cache, self._process) if self._given_linkers is None else self._given_linkers

    def linker_for(self, target: Target) -> Linker | None:
        """Return the linker for `target`, or None when the device has to link."""
        return next((linker for linker in self.linkers if linker.serves(target)), None)

    def close(self) -> None:
        """Stop the compiler process; a later build starts it again."""
        self._process.close()

    def build(self, source: KernelSource, target: str | Target | None = None, *, threads: int = 1) -> Artifact:
        """Build a kernel for a target, or return what was built before.

        Parameters
        ----------
        source : KernelSource
            The kernel.
        target : str or Target, optional
            A triple, TVM's ``llvm -mtriple=...``, or ``"opencl"``; this host by default.
        threads : int
            How many threads run the kernel's parallel loops on a CPU, 1 to 256, the caller's included.

        Returns
        -------
        Artifact

        Raises
        ------
        ArgumentError
            If `threads` is no such number, or the kernel or the target has no use for it.
        TargetError
            If the target, its CPU or one of its features is unknown.
        CompileError
            If LLVM or the linker refuses the kernel.
        """
        __tracebackhide__ = True
        chosen = self._resolve(target)
        _check_threads(source, chosen, threads)
        memory_key = (id(source), threads, chosen if chosen == OPENCL else (chosen, getattr(chosen, "glibc", None)))
        revision = _revision(source, chosen)
        found = self._built.get(memory_key)
        if found is not None and found[0]() is source and found[1] is revision:
            return found[2]
        if isinstance(chosen, str):
            artifact = _build_opencl(source)
        elif is_linked(source):
            artifact = self._build_linked(source, chosen)
            revision = source.revision(chosen)
        else:
            artifact = self._build_ir(_llvm_ir(source, chosen, threads), source.signature, chosen, threads)
        with contextlib.suppress(TypeError):  # a source that cannot be referred to weakly is found on disk only
            reference = weakref.ref(source, lambda _: self._built.pop(memory_key, None))
            self._built[memory_key] = (reference, revision, artifact)
        return artifact

    def recall(self, key: str) -> bytes | None:
        """Return what was kept under `key`, 64 hexadecimal digits, by `remember`; None when there is nothing."""
        return self._cache.get(key)

    def remember(self, key: str, data: bytes) -> None:
        """Keep what was learnt of a device, for later runs."""
        self._cache.put(key, data)

    def host_cpu(self) -> str:
        """Return LLVM's name of this machine's CPU; LLVM is started for it once, until the machine starts again."""
        key = host_cpu_key(this_boot())
        kept = self.recall(key)
        if kept is None:
            kept = llvm_host_cpu().encode()
            self.remember(key, kept)
        return kept.decode()

    def timing_loop(self, target: Target) -> Artifact:
        """Build the library that times kernels on `target`, or return what was built before.

        Returns
        -------
        Artifact
            Its entry is ``int64 xd_time(int64 (*entry)(void **), void **args, int64 number)``: it returns the
            nanoseconds that `number` calls of ``entry(args)`` take.

        Raises
        ------
        TargetError, CompileError
            As of `build`.
        """
        return self._own_library(TIMING_LOOP, target, lambda: timing_loop(target.bits))

    def fault_reporter(self, target: Target) -> Artifact:
        """Build the library that reports where kernels fault on `target`, or return what was built before.

        Returns
        -------
        Artifact
            Its entry is a handler for signals, ``void xd_fault(int signal, siginfo_t *info, void *context)``.

        Raises
        ------
        TargetError, CompileError
            As of `build`.
        """
        return self._own_library(FAULT_REPORTER, target, lambda: fault_reporter(target.arch, target.bits))

    def check(self, target: Target, info: DeviceInfo) -> None:
        """Check that a device can run `target`, names of CPU and features included; see `Target.check_runs_on`.

        Raises
        ------
        TargetError
            If it cannot.
        """
        target.check_runs_on(info, self._process)

    @staticmethod
    def _resolve(target: str | Target | None) -> Target | str:
        if isinstance(target, Target):
            return target
        if target is not None and target.strip() == OPENCL:
            return OPENCL
        return _parsed(target)

    def _own_library(self, signature: Signature, target: Target, text: Callable[[], str]) -> Artifact:
        key = (signature.name, target, target.glibc)
        if key not in self._own:
            self._own[key] = self._build_ir(text(), signature, target)
        return self._own[key]

    def _build_linked(self, source: LinkedSource, target: Target) -> Artifact:
        """Build a kernel that comes as object files."""
        try:
            parts = source.parts(target, Workshop(self._cache))
        except CompileError as error:
            with contextlib.suppress(CompileError):
                target.validate(self._process)
            raise error from None
        entry = source.llvm_ir(target)
        artifact = self._build_ir(entry, parts.signature or source.signature, target, parts=parts)
        return replace(
            artifact,
            source=parts.source,
            ir=artifact.ir if parts.is_whole else parts.llvm_ir or "",
            listing=parts.assembly,
            library=parts.library,
            symbol=parts.symbol,
            inputs={
                ENTRY: (entry + _description_ir(artifact.description())).encode(),
                **parts.files(self.linker_for(target), target),
            },
        )

    def _build_ir(
        self, text: str, signature: Signature, target: Target, threads: int = 1, parts: Parts = NO_PARTS
    ) -> Artifact:
        linker = self.linker_for(target)
        key = cache_key(text, signature, target, linker, parts)
        stored = self._cache.get(key)
        if stored is not None:
            artifact = unpack(stored)
            if artifact is not None:
                return artifact
        artifact = self._make(text, signature, target, key, linker, threads, parts)
        self._cache.put(key, pack(artifact))
        return artifact

    def _make(
        self,
        text: str,
        signature: Signature,
        target: Target,
        key: str,
        linker: Linker | None,
        threads: int,
        parts: Parts,
    ) -> Artifact:
        library = parts.library.name if parts.library else ""
        description = describe(
            signature, str(target), key, threads=threads, library=library, symbol=parts.symbol
        )  # fmt: skip
        described = text + _description_ir(description)
        try:
            compiled = self._process.compile(described, target.machine, optimise=parts.optimise)
            linked = _link(compiled.object, target, linker, parts)
        except CompileError as error:
            with contextlib.suppress(CompileError):
                target.explain(error)
            place = f"{parts.place}: " if parts.place else ""
            raise CompileError(f"{place}kernel {signature.name!r} for {target.summary}: {error}") from None
        return Artifact("cpu", signature, str(target), key, object=linked, ir=compiled.llvm_ir, threads=threads)


_current: ContextVar[Compiler | None] = ContextVar("xdevice_compiler", default=None)


def build(
    source: KernelSource,
    target: str | Target | None = None,
    *,
    threads: int = 1,
    cache_directory: str | Path | None = None,
) -> Artifact:
    """Build a kernel without a device: ``build(add_one, "armv7l-linux-gnueabihf").save("add_one.so")``.

    Parameters
    ----------
    source : KernelSource
        The kernel.
    target : str or Target, optional
        A triple, TVM's ``llvm -mtriple=... -mcpu=... -mattr=...``, or ``"opencl"``; this host by default.
    threads : int
        How many threads run the parallel loops on a CPU, the caller's included.
    cache_directory : Path or str, optional
        Where artifacts are kept; by default that of `use_cache`, else the user's cache directory.

    Returns
    -------
    Artifact
        With the shared library for the target, or OpenCL C.

    Raises
    ------
    ArgumentError
        If `source` is no kernel, and as of `Compiler.build`.
    TargetError, CompileError
        As of `Compiler.build`.
    """
    __tracebackhide__ = True
    if not is_source(source):
        raise no_kernel(source)
    compiler = _compiler_at(Path(cache_directory)) if cache_directory else default_compiler()
    return compiler.build(source, target, threads=threads)


def default_compiler() -> Compiler:
    """Return the compiler of the enclosing `use_cache`, else the one that uses the user's cache directory."""
    return _current.get() or _compiler_at(None)


@contextlib.contextmanager
def use_cache(directory: str | Path) -> Iterator[Compiler]:
    """Make `build` keep its artifacts below `directory` within the ``with`` block."""
    compiler = _compiler_at(Path(directory))
    token = _current.set(compiler)
    try:
        yield compiler
    finally:
        _current.reset(token)


@functools.cache
def _compiler_at(directory: Path | None) -> Compiler:
    return Compiler(directory)


@functools.lru_cache(maxsize=256)
def _parsed(text: str | None) -> Target:
    return Target.host() if text is None else Target.parse(text)


def _check_threads(source: KernelSource, target: Target | str, threads: int) -> None:
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise ArgumentError(f"threads must be a whole number from 1 to {MOST_THREADS}; got {threads!r}")
    if threads == 1:
        return
    if isinstance(target, str):
        raise ArgumentError(
            f"threads={threads}: an OpenCL device divides the work by itself; leave threads out, or run the test on "
            "the CPU with @pytest.mark.cpu"
        )
    if not isinstance(source, ThreadedSource):
        raise ArgumentError(
            f"threads={threads}: {source.signature.name} has no parallel loops that could be shared out; only kernels "
            "in Python have them"
        )
    if target.triple.startswith("armv5"):
        raise ArgumentError(f"threads={threads}: {target.triple} has no atomic operations, which threads need")


def _llvm_ir(source: KernelSource, target: Target, threads: int) -> str:
    return (
        source.threaded_llvm_ir(target, threads)
        if isinstance(source, ThreadedSource) and threads > 1
        else source.llvm_ir(target)
    )


def _build_opencl(source: KernelSource) -> Artifact:
    program = source.opencl_program()
    geometry = json.dumps([phase.to_json() for phase in program.phases])
    # The kernels of one hand-written program share it on the device.
    own = "by hand" if program.is_handwritten else str(source.signature)
    key = digest_of(OPENCL, own, program.source, geometry, *program.build_options)
    return Artifact(
        "opencl",
        source.signature,
        OPENCL,
        key,
        opencl_source=program.source,
        phases=tuple(program.phases),
        carry_bytes=program.carry_bytes,
        build_options=program.build_options,
        is_handwritten=program.is_handwritten,
    )


def _revision(source: KernelSource, target: Target | str) -> object:
    """Return another object when what the source would become has changed."""
    __tracebackhide__ = True
    if not isinstance(target, str) and is_linked(source):
        return source.revision(target)
    # A new one when something has changed that a kernel in Python captured, or a file of one in OpenCL C.
    return getattr(source, "ir", None)


def _link(obj: bytes, target: Target, linker: Linker | None, parts: Parts) -> bytes:
    """Link an entry, by itself or with the parts that it calls."""
    if linker is None and not parts.objects:
        return obj
    try:
        if linker is not None:
            return linker.link(obj, target, parts.objects)
    except CompileError:  # a symbol that is not known here, or an object that is too new for that linker
        if parts.link is None:
            raise
    if parts.link is None:
        raise CompileError(f"no linker for {target.triple} on this host: install ld.lld, or ziglang")
    return parts.link((obj, *parts.objects))


def _description_ir(text: str) -> str:
    # Hidden, not private: the optimiser keeps it, no reader outside has to see it, and the name clashes with none.
    data = text.encode("ascii")
    escaped = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02X}" for b in data)
    return f'\n@xd.description = hidden constant [{len(data)} x i8] c"{escaped}", section "{SECTION}", align 1\n'
