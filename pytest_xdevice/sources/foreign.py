"""What kernels in other languages have in common, and what those of a CPU have: a prototype."""

from __future__ import annotations

import os
from abc import ABC
from abc import abstractmethod
from functools import cached_property
from typing import NoReturn
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from ..errors import CompileError
from .abi import Function
from .call_site import CallSite
from .prototype import parse_prototype
from .trampoline import trampoline

if TYPE_CHECKING:
    from ..artifact import OpenCLProgram
    from ..kernel.signature import Signature
    from ..target import Target


class ForeignKernel(ABC):
    """A kernel that is not in Python, and so runs on a device alone.

    Attributes
    ----------
    language : str
        What it is, for messages.
    """

    language = "a kernel in another language"

    @property
    @abstractmethod
    def name(self) -> str:
        """The function's name."""

    def python(self, *arguments: object, **keywords: object) -> NoReturn:
        """Refuse: only kernels in Python can be interpreted.

        Raises
        ------
        ArgumentError
            Always.
        """
        raise ArgumentError(f"{self.name} is {self.language}, which cannot be interpreted: compare it with NumPy")

    def __call__(self, *arguments: object, **keywords: object) -> NoReturn:
        """Refuse: a kernel is launched on a device.

        Raises
        ------
        TypeError
            Always; it says what to write.
        """
        raise TypeError(f"kernel {self.name} is not called directly: write xdevice.run(kernel, ...) with it")


class PrototypedKernel(ForeignKernel):
    """A kernel for a CPU that a C prototype describes."""

    def __init__(self, prototype: str, site: CallSite) -> None:
        if not isinstance(prototype, str):
            raise TypeError(
                "the prototype is a C declaration, such as 'void saxpy(int n, float a, const float *x, float *y)'; "
                f"got {type(prototype).__name__}"
            )
        self.prototype = prototype
        self._site = site

    @cached_property
    def function(self) -> Function:
        """The kernel as its prototype declares it, read at first use.

        Raises
        ------
        KernelError
            At the first mistake in the prototype.
        """
        return parse_prototype(self.prototype, self._site.place_of(self.prototype))

    @property
    def signature(self) -> Signature:
        """Parameters, and the result as the last of them."""
        return self.function.signature

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name

    @property
    def place(self) -> str:
        """Where it was made, ``FILE:LINE``."""
        return f"{self._site.shown}:{self._site.line}"

    def llvm_ir(self, target: Target) -> str:
        """Return LLVM IR text that defines ``i64 @xd_<name>(ptr)`` for `target`: the entry alone, which calls it."""
        return trampoline(self.function, target)

    def opencl_program(self) -> OpenCLProgram:
        """Refuse: it runs on a CPU.

        Raises
        ------
        ArgumentError
            Always.
        """
        raise ArgumentError(
            f"{self.name} is {self.language}, which runs on a CPU and not by OpenCL: mark its test with "
            "@pytest.mark.cpu alone"
        )

    def _binary(self, given: str, target: Target) -> bytes:
        """Read an object file or a library that the user named.

        Raises
        ------
        CompileError
            If it cannot be read, or is not for `target`; with the place where it was named.
        """
        from ..toolchain.binaries import read_binary

        try:
            return read_binary(os.path.join(*self._site.resolve(given)), target)
        except CompileError as error:
            raise CompileError(f"{self.place}: {error}") from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.prototype.strip()}' at {self.place}>"
