"""`llvm_kernel`: a function of LLVM IR that another compiler made, brought to the target where that can be done."""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import dataclass
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from ..errors import CompileError
from ..kernel.signature import Param
from ..kernel.signature import Signature
from .abi import Function
from .call_site import CallSite
from .foreign import PrototypedKernel
from .ir_signature import argument_of
from .ir_signature import check_call
from .ir_signature import check_prototype
from .ir_signature import params_of
from .ir_signature import result_of
from .retarget import retargeted
from .trampoline import trampoline

if TYPE_CHECKING:
    from ..target import Target
    from ..toolchain.c_objects import Stamp
    from ..toolchain.parts import Parts
    from ..toolchain.parts import Workshop

# What compilers say of all functions when they are not asked to optimise.
_NOT_OPTIMISED: Final = re.compile(r"^attributes #\d+ = \{.*\boptnone\b.*", re.MULTILINE)
_UNOPTIMISED: Final = re.compile(r"\b(?:optnone|noinline)\b")
# Guards of the stack, which need symbols that are elsewhere on each target.
_PROTECTED: Final = re.compile(r"^attributes #\d+ = \{.*\bssp.*", re.MULTILINE)
_PROTECTION: Final = re.compile(r"\bssp(?:strong|req)? ")
_WHERE: Final = re.compile(r"<string>:(\d+):")


def llvm_kernel(
    path_or_text_or_module: Any, entry: str = "", *, prototype: str | None = None, optimise: bool = True
) -> LLVMKernel:
    """Make a kernel of a function in LLVM IR.

    Parameters
    ----------
    path_or_text_or_module : str, path, bytes or object
        A file (``.ll`` or ``.bc``), from the folder of the file that calls this or from the current folder; IR or
        bitcode itself; an `llvmlite.ir.Module`; an `llvmlite.binding.ModuleRef`; or what ``numba.cfunc`` makes.
    entry : str
        The function; it can be left out where the module defines one alone, and for numba.
    prototype : str, optional
        Its declaration in C, which then says what the parameters are. By default the IR does: a pointer that is only
        read is an array that is read; its elements have the type that is loaded or stored through it.
    optimise : bool
        Whether it is optimised as kernels in Python are; otherwise it is left as it is.

    Returns
    -------
    LLVMKernel
        As good as a kernel in Python, on CPUs. Nothing is read before it is used.
    """
    return LLVMKernel(_given(path_or_text_or_module), entry, prototype, optimise, CallSite.above())


@dataclass(frozen=True)
class _Given:
    """A module as a user gave it.

    Attributes
    ----------
    module : object
        A path, bytes, or what prints itself as IR.
    is_path, is_text : bool
    entry, name : str
        For numba, the symbol that C calls, and the function's name in Python.
    parameters : tuple of str
        For numba, the names of the function's parameters.
    """

    module: Any
    is_path: bool = False
    is_text: bool = False
    entry: str = ""
    name: str = ""
    parameters: tuple[str, ...] = ()


def _given(given: Any) -> _Given:
    if isinstance(given, bytes):
        return _Given(given)
    if isinstance(given, str) and re.search(r"[\n{;]", given):
        return _Given(given, is_text=True)
    if isinstance(given, (str, os.PathLike)):
        return _Given(os.fspath(given), is_path=True)
    if hasattr(given, "inspect_llvm") and hasattr(given, "_wrapper_name"):  # numba's CFunc
        names = tuple(inspect.signature(given.__wrapped__).parameters) if hasattr(given, "__wrapped__") else ()
        return _Given(given.inspect_llvm(), entry=given._wrapper_name, name=given.__name__, parameters=names)
    if type(given).__module__.partition(".")[0] == "llvmlite":
        return _Given(given)
    raise ArgumentError(
        f"llvm_kernel takes a path, LLVM IR, a module of llvmlite or a cfunc of numba; got {type(given).__name__}"
    )


class LLVMKernel(PrototypedKernel):
    """A kernel in LLVM IR; made by `llvm_kernel`."""

    language = "LLVM IR"

    def __init__(self, given: _Given, entry: str, prototype: str | None, optimise: bool, site: CallSite) -> None:
        super().__init__(prototype or "", site)
        self._given = given
        self._entry = entry or given.entry
        self._optimise = optimise
        self._read: tuple[Stamp | None, object] | None = None

    def __repr__(self) -> str:
        return f"<LLVMKernel {self._entry or 'of one function'} at {self.place}>"

    @property
    def name(self) -> str:
        """The function's name, with what no name of C has replaced."""
        return str(self._module[0]["entry"])

    @cached_property
    def signature(self) -> Signature:
        """Parameters, and the result as the last of them.

        Raises
        ------
        CompileError
            If the IR cannot be read, or has no such function.
        ArgumentError
            If a test cannot call it.
        """
        function = self.function
        if self.prototype:
            return function.signature
        params = params_of(self._module[0]["arguments"])
        given = [Param(argument.name, kind) for argument, kind in zip(function.arguments, params, strict=True)]
        return Signature(function.name, (*given, *function.signature.params[len(given) :]))

    @cached_property
    def function(self) -> Function:
        """The function as C would declare it; errors as of `signature`."""
        facts = self._module[0]
        check_call(self.name, facts)
        arguments = [argument_of(self.name, index, each) for index, each in enumerate(facts["arguments"])]
        names = [argument.name for argument in arguments]
        unique = [
            argument if names.count(argument.name) == 1 else replace(argument, name=f"arg{index}")
            for index, argument in enumerate(arguments)
        ]
        returns = None if facts["result"] in ("void", "ptr") else result_of(self.name, facts)
        found = Function(self.name, tuple(unique), returns)
        if self.prototype:
            declared = replace(super().function, name=self.name)
            check_prototype(declared, found, facts)
            return declared
        return found

    def llvm_ir(self, target: Target) -> str:
        """Return the module with ``i64 @xd_<name>(ptr)`` added.

        Raises
        ------
        CompileError, ArgumentError
            As of `signature`.
        TargetError
            If the IR was made for another target and cannot be brought to this one.
        """
        facts, text = self._module
        own = self.name
        body = retargeted(self._shown, facts, text, target)
        if self._optimise:
            body = _NOT_OPTIMISED.sub(lambda group: _UNOPTIMISED.sub("nounwind", group[0]), body)
        body = _PROTECTED.sub(lambda group: _PROTECTION.sub("", group[0]), body)
        if facts["result"] == "ptr":  # numba's way to return nothing
            types = [each["type"] for each in facts["arguments"]]
            takes = ", ".join(f"{kind} %a{index}" for index, kind in enumerate(types))
            body = re.sub(rf"@{own}\b", f"@{own}.ir", body)
            body += f"\ndefine internal void @{own}({takes}) {{\n  %r = call ptr @{own}.ir({takes})\n  ret void\n}}\n"
        return f"{body}\n{trampoline(self.function, target, is_declared=True)}"

    def revision(self, target: Target) -> object:
        """Return the same object as long as the file has not changed."""
        from ..toolchain.c_objects import Stamp

        stamp = Stamp.of(self._path) if self._given.is_path else None
        if self._read is None or self._read[0] != stamp:
            for name in ("signature", "function", "_module"):
                self.__dict__.pop(name, None)
            self._read = stamp, object()
        return self._read[1]

    def parts(self, target: Target, workshop: Workshop) -> Parts:
        """Return how the IR is to be compiled; nothing is linked with it."""
        from ..toolchain.parts import Parts

        signature = self.function.signature_on(target) if self.prototype else None
        text = self._module[1]
        return Parts(
            source=text,
            sources={"source.ll": text},
            is_whole=True,
            optimise=self._optimise,
            signature=signature,
            place=self._shown,
        )

    @cached_property
    def _module(self) -> tuple[dict[str, Any], str]:
        from ..toolchain import llvm

        data = self._data()
        try:
            facts, text = llvm.shared().inspect(data, self._entry, self._given.name)
        except CompileError as error:
            raise CompileError(self._located(str(error))) from None
        if "result" not in facts:
            there = ", ".join(facts["functions"]) or "no function at all"
            wanted = f"does not define {self._entry!r}" if self._entry else "needs entry=, the function to be called"
            raise CompileError(f"{self._shown}: the module {wanted}; it defines {there}")
        for name, each in zip(self._given.parameters, facts["arguments"], strict=False):
            each["name"] = name
        return facts, text

    def _data(self) -> bytes:
        if not self._given.is_path:
            module = self._given.module
            return module if isinstance(module, bytes) else str(module).encode()
        try:
            return Path(self._path).read_bytes()
        except OSError as error:
            raise CompileError(f"{self.place}: cannot read {self._given.module}: {error.strerror or error}") from None

    @property
    def _path(self) -> str:
        return os.path.join(*self._site.resolve(self._given.module))

    @property
    def _shown(self) -> str:
        return self._given.module if self._given.is_path else self.place

    def _located(self, message: str) -> str:
        """Return LLVM's message with the place that the user knows."""
        message = message.replace("LLVM IR parsing error\n", "")
        if not _WHERE.search(message):
            line = self._line_of(message)
            if line is None:
                return f"{self._shown}: {message}"
            message = f"<string>:{line}: {message}"
        first = self._site.line_of(self._given.module) if self._given.is_text else 1
        name = self._given.module if self._given.is_path else self._site.shown if first else f"{self._shown}: the IR"
        return _WHERE.sub(lambda match: f"{name}:{int(match[1]) + (first or 1) - 1}:", message)

    def _line_of(self, message: str) -> int | None:
        """Return the line of the IR that has the instruction which a message of LLVM's verifier shows."""
        lines = [" ".join(line.split()) for line in self._data().decode(errors="replace").splitlines()]
        for shown in message.splitlines()[1:]:
            words = " ".join(shown.split())
            start = f"{words.removeprefix('label %')}:" if words.startswith("label %") else words
            found = [number for number, line in enumerate(lines, 1) if start and line.startswith(start)]
            if len(found) == 1:
                return found[0]
        return None
