"""The parent's side of the compiler process: started when needed, asked over a pipe, replaced when it crashed."""

from __future__ import annotations

import atexit
import functools
import os
import re
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import BinaryIO
from typing import Final

from pytest_xdevice.errors import CompileError

from .frames import read_frame
from .frames import write_frame

_PACKAGE_ROOT: Final = str(Path(__file__).resolve().parents[2])
# The directory of the script's caller (an empty entry) must not shadow LLVM's modules.
_START: Final = (
    "import sys; sys.path[:] = [{root!r}] + [entry for entry in sys.path if entry]; "
    "from pytest_xdevice.toolchain.worker import main; main()"
)
_UNRECOGNISED: Final = re.compile(r"'([^']*)' is not a recognized (processor|feature) for this target")
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Machine:
    """What LLVM calls a target machine: triple, CPU name, features as ``+a,-b``, and ABI name where one is needed."""

    triple: str
    cpu: str = ""
    features: str = ""
    abi: str = ""


@dataclass(frozen=True)
class Compiled:
    """Optimised IR and the relocatable object made of it."""

    llvm_ir: str
    object: bytes


class LLVMCrash(CompileError):
    """The compiler process ended while it served a request."""


class UnrecognisedName(CompileError):
    """LLVM does not know a CPU or a feature.

    Attributes
    ----------
    kind : {"processor", "feature"}
    name : str
        The name, a feature with its sign.
    """

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"LLVM does not know the {kind} {name!r}")
        self.kind = kind
        self.name = name


class CompilerProcess:
    """LLVM in a child process.

    Any thread may ask. The child is started by the first request, replaced after a crash, stopped by `close`, and
    ends by itself when this process does. A process forked off this one starts a child of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stderr: BinaryIO | None = None
        _LIVE.add(self)

    def warm_up(self) -> None:
        """Start the child without waiting for it, so that a later request finds it ready."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """Stop the child and wait for its end; a later request starts a new one."""
        with self._lock:
            child, self._child = self._child, None
            if child is not None:
                _stop(child)
            if self._stderr is not None:
                self._stderr.close()
                self._stderr = None

    def compile(self, llvm_ir: str, machine: Machine, *, optimise: bool = True) -> Compiled:
        """Optimise `llvm_ir`, if so wished, and emit an object file.

        Raises
        ------
        CompileError
            If LLVM refuses the text; `LLVMCrash` if it aborted, `UnrecognisedName` for an unknown CPU or feature.
        """
        try:
            return self._compiled(llvm_ir, machine, optimise=optimise, straight_line=True)
        except LLVMCrash as crash:
            if not optimise:
                raise
            # One of its assertions fails on distances near 2**63 as it makes vectors of straight-line code.
            try:
                return self._compiled(llvm_ir, machine, optimise=True, straight_line=False)
            except LLVMCrash:
                raise crash from None

    def _compiled(self, llvm_ir: str, machine: Machine, *, optimise: bool, straight_line: bool) -> Compiled:
        options = {"optimise": optimise, "straight_line": straight_line}
        _, (optimised, obj) = self._ask("compile", machine, [llvm_ir.encode()], **options)
        return Compiled(optimised.decode(), obj)

    def assemble(self, llvm_ir: str, machine: Machine) -> str:
        """Return the assembly of IR that is already optimised; errors as of `compile`."""
        _, (assembly,) = self._ask("assemble", machine, [llvm_ir.encode()])
        return assembly.decode()

    def inspect(self, module: bytes, entry: str, name: str) -> tuple[dict[str, Any], str]:
        """Read a module, text or bitcode, that someone else made; see `inspect_ir.inspect`.

        Raises
        ------
        CompileError
            If it cannot be parsed, or does not verify; `LLVMCrash` if LLVM aborted.
        """
        answer, (text,) = self._ask("inspect", Machine(""), [module], entry=entry, name=name)
        return answer["facts"], text.decode()

    def enabled(self, names: Sequence[str], machine: Machine) -> frozenset[str]:
        """Return those of the features `names` that `machine` enables, by its CPU, its triple or its features."""
        answer, _ = self._ask("enabled", machine, [], names=list(names))
        return frozenset(answer["enabled"])

    def host(self) -> tuple[str, str, frozenset[str]]:
        """Return this machine's triple, CPU name and features, as LLVM finds them."""
        answer, _ = self._ask("host", Machine(""))
        return answer["triple"], answer["cpu"], frozenset(answer["features"])

    def ping(self) -> int:
        """Start the child if need be, wait until it answers, and return its process id."""
        answer, _ = self._ask("ping", Machine(""))
        return int(answer["pid"])

    def _ask(
        self, action: str, machine: Machine, parts: Sequence[bytes] = (), **fields: Any
    ) -> tuple[dict[str, Any], list[bytes]]:
        request = {"do": action, **vars(machine), **fields}
        with self._lock:
            child, stderr = self._running()
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                write_frame(child.stdin, request, parts)
                answer, results = read_frame(child.stdout)
            except (EOFError, OSError):
                raise self._crashed(child, stderr) from None
            except BaseException:
                child.kill()  # interrupted half-way, the pipe holds an answer that nobody will ask for
                self.close()
                raise
        unknown = _UNRECOGNISED.search(answer["messages"])
        if unknown:
            raise UnrecognisedName(unknown[2], unknown[1])
        if "error" in answer:
            raise CompileError(answer["error"].strip())
        return answer, results

    def _running(self) -> tuple[subprocess.Popen[bytes], BinaryIO]:
        if self._child is not None and self._child.poll() is not None:
            self.close()  # it ended between two requests: killed from outside, or by the out-of-memory killer
        if self._child is None:
            # A file, not a pipe: an abort's last words stay readable, and nobody has to drain it meanwhile.
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
            self._child = subprocess.Popen(
                [sys.executable, "-c", _START.format(root=_PACKAGE_ROOT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
            )
        assert self._stderr is not None
        return self._child, self._stderr

    def _crashed(self, child: subprocess.Popen[bytes], stderr: BinaryIO) -> LLVMCrash:
        try:
            status = child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            status = child.wait()
        stderr.seek(0)
        words = _last_words(stderr.read().decode("utf-8", "replace"))
        self.close()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return LLVMCrash(f"the compiler process ended with {how}: {words or 'it printed nothing'}")

    def _forget(self) -> None:
        """Drop what a fork copied: the child belongs to the parent, and its lock may be held there."""
        self._lock = threading.RLock()
        if self._child is not None:
            assert self._child.stdin is not None
            assert self._child.stdout is not None
            with open(os.devnull, "wb") as nowhere:
                # What is buffered was copied too, and closing must not send it a second time.
                os.dup2(nowhere.fileno(), self._child.stdin.fileno())
            self._child.stdin.close()
            self._child.stdout.close()
            self._child.returncode = 0
        if self._stderr is not None:
            self._stderr.close()
        self._child = None
        self._stderr = None


_LIVE: Final[weakref.WeakSet[CompilerProcess]] = weakref.WeakSet()


@functools.cache
def shared() -> CompilerProcess:
    """Return the compiler process that everything in this process shares."""
    return CompilerProcess()


def known_names(triple: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the CPUs and of the features that LLVM knows for `triple`.

    Raises
    ------
    CompileError
        If LLVM does not print them.
    """
    done = subprocess.run(
        [sys.executable, "-c", _START.format(root=_PACKAGE_ROOT), "help", triple],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    cpus, found, features = done.stderr.partition("Available features for this target:")
    if not found:
        raise CompileError(f"LLVM did not list its CPUs for {triple}: {_last_words(done.stderr)}")
    return tuple(_first_columns(cpus)), tuple(_first_columns(features))


def _first_columns(table: str) -> list[str]:
    return re.findall(r"^  (\S+)\s+- ", table, re.MULTILINE)


def _last_words(printed: str) -> str:
    """Choose what to quote of a crashed LLVM's output: the error line if there is one, else the last lines."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    telling = [line for line in lines if "LLVM ERROR" in line or "Assertion" in line]
    return telling[-1] if telling else "\n".join(lines[-5:])


def _stop(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.close()
    except OSError:
        child.kill()  # a broken pipe: it is gone, or going
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()


def _stop_all() -> None:
    for process in list(_LIVE):
        process.close()


def _forget_all() -> None:
    for process in list(_LIVE):
        process._forget()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
