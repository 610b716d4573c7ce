"""The `kernel` decorator, and the `Kernel` that it makes of a typed Python function."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable
from types import BuiltinFunctionType
from types import FrameType
from types import FunctionType
from types import MethodType
from typing import Any
from typing import Final
from typing import overload
from typing import TYPE_CHECKING
from typing import Union

from .errors import KernelError
from .frontend.captured import Captured
from .frontend.captured import names_of_annotations
from .frontend.captured import Reads
from .frontend.parameters import read_signature
from .signature import Signature

if TYPE_CHECKING:
    from ..artifact import OpenCLProgram
    from ..target import Target
    from .ir import KernelIR
    from .launch_shape import LaunchShape

Fast = Union[bool, str, "tuple[str, ...]"]
# What each word lets the compiler do; True stands for all that keeps NaN and infinities right.
FAST_WORDS: Final = frozenset({"contract", "reassoc", "full"})
_FAST_TRUE: Final = frozenset({"contract", "reassoc"})


class Kernel:
    """A kernel written in Python: parsed and checked at first use, so that an error belongs to the test that uses it.

    Attributes
    ----------
    name : str
        The function's name.
    fast : frozenset of str
        What the compiler may do to floating-point arithmetic: none or some of ``"contract"`` (fuse a multiplication
        and an addition), ``"reassoc"`` (reorder sums) and ``"full"`` (also assume that there is no NaN or infinity).
    """

    def __init__(self, function: FunctionType, fast: frozenset[str], enclosing: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._enclosing = enclosing
        self._signature: Signature | None = None
        self._built: tuple[KernelIR, Reads] | None = None
        self._shaped: dict[LaunchShape, tuple[KernelIR, Kernel]] = {}
        self.name: str = function.__name__
        self.fast = fast

    @property  # a cached one would show pytest's reader a frame of functools
    def signature(self) -> Signature:
        """Parameters and dims, read from the annotations alone.

        Raises
        ------
        KernelError
            If a parameter's annotation is missing or is no type of the language.
        """
        __tracebackhide__ = True
        if self._signature is None:
            try:
                self._signature = read_signature(self._function, Captured(self._function, self._enclosing))
            except KernelError as mistake:
                raise mistake.with_traceback(None) from None  # it says itself where in the kernel it is
        return self._signature

    @property
    def ir(self) -> KernelIR:
        """The typed IR: another one after something that the kernel takes from outside of it has changed.

        Raises
        ------
        KernelError
            At the first mistake in the kernel.
        """
        __tracebackhide__ = True
        if self._built is None or not self._built[1].still_hold():
            from .frontend.function import build_ir

            reads = Reads()
            captured = Captured(self._function, self._enclosing, reads)
            try:
                self._built = build_ir(self._function, self.signature, captured, self.fast), reads
            except KernelError as mistake:
                raise mistake.with_traceback(None) from None  # it says itself where in the kernel it is
        return self._built[0]

    def python(self, *arguments: Any, **keywords: Any) -> Any:
        """Run the kernel in Python, on NumPy scalars: the meaning that every target must agree with.

        Parameters
        ----------
        *arguments, **keywords
            NumPy arrays, which are written in place, and scalars. Out arrays whose dims follow from the others may be
            left out.

        Returns
        -------
        None, numpy.ndarray or tuple of numpy.ndarray
            The Out arrays that were left out; None when every argument was given.

        Raises
        ------
        ArgumentError
            If the arguments do not fit the signature.
        KernelError
            If there is a mistake in the kernel.
        IndexError
            If it reads or writes outside of an array.
        """
        __tracebackhide__ = True
        from .oracle import run_in_python

        return run_in_python(self.ir, arguments, keywords)

    def llvm_ir(self, target: Target) -> str:
        """Return LLVM IR text that defines ``i64 @xd_<name>(ptr)`` for `target`, not yet optimised."""
        __tracebackhide__ = True
        from .llvm.entry import kernel_module

        return kernel_module(self.ir, pointer_bits=target.bits)

    def threaded_llvm_ir(self, target: Target, threads: int) -> str:
        """Return the same with the parallel loops run by `threads` threads, 2 to 256."""
        __tracebackhide__ = True
        from .llvm.entry import kernel_module
        from .llvm.threads import Threads

        return kernel_module(self.ir, pointer_bits=target.bits, threads=Threads(threads, target.arch))

    def opencl_program(self) -> OpenCLProgram:
        """Return the kernel as OpenCL C."""
        __tracebackhide__ = True
        from .opencl.program import kernel_program

        return kernel_program(self.ir)

    def with_shape(self, shape: LaunchShape) -> Kernel:
        """Return the kernel with the work-groups of `shape` in its parallel loops of that rank.

        Raises
        ------
        ArgumentError
            If it has no such loop.
        KernelError
            If there is a mistake in the kernel.
        """
        __tracebackhide__ = True
        current = self.ir
        made_of, variant = self._shaped.get(shape, (None, self))
        if made_of is not current:
            from .launch_shape import reshaped

            variant = copy.copy(self)
            variant._shaped = {}
            variant._built = reshaped(current, shape), Reads()
            self._shaped[shape] = current, variant
        return variant

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Refuse: a kernel is launched on a device, or interpreted.

        Raises
        ------
        TypeError
            Always; it says what to write.
        """
        __tracebackhide__ = True
        names = ", ".join(self._function.__code__.co_varnames[: self._function.__code__.co_argcount])
        raise TypeError(
            f"kernel {self.name} is not called directly: write xdevice.run({self.name}, ...) to run it on a device, "
            f"or {self.name}.python({names}) to run it in Python"
        )

    def __repr__(self) -> str:
        code = self._function.__code__
        return f"<kernel {self.name} at {code.co_filename}:{code.co_firstlineno}>"


@overload
def kernel(function: Callable[..., Any], /) -> Kernel: ...


@overload
def kernel(*, fast: Fast = ...) -> Callable[[Callable[..., Any]], Kernel]: ...


def kernel(
    function: Callable[..., Any] | None = None, /, *, fast: Fast = False
) -> Kernel | Callable[[Callable[..., Any]], Kernel]:
    """Make a kernel of a typed Python function: ``@kernel``, or ``@kernel(fast=...)``.

    Parameters
    ----------
    function : function
        Its parameters are annotated with `In`, `Out` or `InOut` arrays, or bare scalar types.
    fast : bool, str or tuple of str
        What the compiler may do to floating-point arithmetic: ``"contract"``, ``"reassoc"``, ``"full"``, several of
        them, or True for ``("contract", "reassoc")``. By default nothing: results are those of NumPy, bit by bit.

    Raises
    ------
    TypeError
        If it decorates anything but a function.
    ValueError
        If `fast` is none of these.
    """
    __tracebackhide__ = True
    words = _fast_words(fast)

    def decorate(function: Callable[..., Any], frame: FrameType) -> Kernel:
        __tracebackhide__ = True
        plain = function.__func__ if isinstance(function, staticmethod) else function
        if not isinstance(plain, FunctionType):
            got, advice = _refusal(plain)
            raise TypeError(f"@kernel decorates a function defined with 'def'; got {got}: {advice}")
        return Kernel(plain, words, names_of_annotations(plain, frame))

    if function is not None:
        return decorate(function, sys._getframe(1))
    return lambda function: decorate(function, sys._getframe(1))


def _refusal(decorated: object) -> tuple[str, str]:
    """Return what `decorated` is, and what to write instead."""
    if isinstance(decorated, Kernel):
        return f"the kernel {decorated.name}", "remove one of the two decorators"
    if isinstance(decorated, type):
        return f"type {decorated.__name__}", "write a function, and pass each field by itself"
    if isinstance(decorated, functools.partial):
        return "a functools.partial", "pass the value as a parameter, or define the kernel in a function that takes it"
    if isinstance(decorated, MethodType):
        return f"the bound method {decorated.__name__}", "write a function, or a static method, without 'self'"
    if isinstance(decorated, (BuiltinFunctionType, classmethod)):
        return f"a {type(decorated).__name__}", "write a function in Python"
    return f"an object of type {type(decorated).__name__}", "put @kernel right above 'def'"


def _fast_words(fast: Fast) -> frozenset[str]:
    __tracebackhide__ = True
    if isinstance(fast, bool):
        return _FAST_TRUE if fast else frozenset()
    words = frozenset(fast if isinstance(fast, (tuple, list, set, frozenset)) else (fast,))
    if not words <= FAST_WORDS:
        unknown = ", ".join(sorted(map(repr, words - FAST_WORDS)))
        raise ValueError(f"fast={fast!r}: {unknown} is none of {', '.join(sorted(FAST_WORDS))}, True and False")
    return words
