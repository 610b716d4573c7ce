"""Write compute kernels in Python, test them with pytest on the device they are meant for.

Names are imported on first use: this file is also what a device imports, with nothing but Python 3.8 there.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import ArgumentError
    from .errors import AuthenticationError
    from .errors import CompileError
    from .errors import ConfigError
    from .errors import DeviceBusy
    from .errors import DeviceError
    from .errors import DeviceLost
    from .errors import DeviceUnreachable
    from .errors import JumpHostError
    from .errors import KernelCrash
    from .errors import KernelTimeout
    from .errors import MemoryViolation
    from .errors import RemoteFunctionError
    from .errors import RemoteFunctionTimeout
    from .errors import TargetError
    from .errors import XDeviceError
    from .kernel.constructs import atomic_add
    from .kernel.constructs import atomic_cas
    from .kernel.constructs import atomic_max
    from .kernel.constructs import atomic_min
    from .kernel.constructs import barrier
    from .kernel.constructs import parallel
    from .kernel.constructs import private
    from .kernel.constructs import shared
    from .kernel.errors import KernelError
    from .kernel.kernel import kernel
    from .kernel.mathtable import _ABS as abs
    from .kernel.mathtable import _MAX as max
    from .kernel.mathtable import _MIN as min
    from .kernel.mathtable import _POW as pow
    from .kernel.mathtable import _ROUND as round
    from .kernel.mathtable import acos
    from .kernel.mathtable import asin
    from .kernel.mathtable import atan
    from .kernel.mathtable import atan2
    from .kernel.mathtable import cbrt
    from .kernel.mathtable import ceil
    from .kernel.mathtable import copysign
    from .kernel.mathtable import cos
    from .kernel.mathtable import cosh
    from .kernel.mathtable import erf
    from .kernel.mathtable import exp
    from .kernel.mathtable import exp2
    from .kernel.mathtable import expm1
    from .kernel.mathtable import floor
    from .kernel.mathtable import fma
    from .kernel.mathtable import fmod
    from .kernel.mathtable import hypot
    from .kernel.mathtable import isfinite
    from .kernel.mathtable import isinf
    from .kernel.mathtable import isnan
    from .kernel.mathtable import log
    from .kernel.mathtable import log1p
    from .kernel.mathtable import log2
    from .kernel.mathtable import log10
    from .kernel.mathtable import sin
    from .kernel.mathtable import sinh
    from .kernel.mathtable import sqrt
    from .kernel.mathtable import tan
    from .kernel.mathtable import tanh
    from .kernel.mathtable import trunc
    from .kernel.opencl_types import local
    from .kernel.types import bool_
    from .kernel.types import dim
    from .kernel.types import f16
    from .kernel.types import f32
    from .kernel.types import f64
    from .kernel.types import i8
    from .kernel.types import i16
    from .kernel.types import i32
    from .kernel.types import i64
    from .kernel.types import In
    from .kernel.types import InOut
    from .kernel.types import Out
    from .kernel.types import u8
    from .kernel.types import u16
    from .kernel.types import u32
    from .kernel.types import u64
    from .sources.c import c_kernel
    from .sources.library import library_kernel
    from .sources.llvm_ir import llvm_kernel
    from .sources.opencl_c import opencl_kernel

    __version__: str

__all__ = [
    "ArgumentError",
    "AuthenticationError",
    "CompileError",
    "ConfigError",
    "DeviceBusy",
    "DeviceError",
    "DeviceLost",
    "DeviceUnreachable",
    "In",
    "InOut",
    "JumpHostError",
    "KernelCrash",
    "KernelError",
    "KernelTimeout",
    "MemoryViolation",
    "Out",
    "RemoteFunctionError",
    "RemoteFunctionTimeout",
    "TargetError",
    "XDeviceError",
    "__version__",
    "abs",
    "acos",
    "asin",
    "atan",
    "atan2",
    "atomic_add",
    "atomic_cas",
    "atomic_max",
    "atomic_min",
    "barrier",
    "bool_",
    "c_kernel",
    "cbrt",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "dim",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "f16",
    "f32",
    "f64",
    "floor",
    "fma",
    "fmod",
    "hypot",
    "i8",
    "i16",
    "i32",
    "i64",
    "isfinite",
    "isinf",
    "isnan",
    "kernel",
    "library_kernel",
    "llvm_kernel",
    "local",
    "log",
    "log1p",
    "log2",
    "log10",
    "max",
    "min",
    "opencl_kernel",
    "parallel",
    "pow",
    "private",
    "round",
    "shared",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    "u8",
    "u16",
    "u32",
    "u64",
]  # fmt: skip

_ERRORS = (
    "ArgumentError", "AuthenticationError", "CompileError", "ConfigError", "DeviceBusy", "DeviceError", "DeviceLost",
    "DeviceUnreachable", "JumpHostError", "KernelCrash", "KernelTimeout", "MemoryViolation", "RemoteFunctionError",
    "RemoteFunctionTimeout", "TargetError", "XDeviceError",
)  # fmt: skip
# Where kernels in other languages come from, and what they alone need.
_ELSEWHERE = {
    "c_kernel": ".sources.c",
    "llvm_kernel": ".sources.llvm_ir",
    "library_kernel": ".sources.library",
    "local": ".kernel.opencl_types",
    "opencl_kernel": ".sources.opencl_c",
}
# Functions of the math table that the subpackage does not export, for their names are those of built-ins.
_LIKE_BUILTINS = ("abs", "max", "min", "pow", "round")


def __getattr__(name: str) -> Any:
    # Nothing is kept here: a test runner that forgets the modules of one run must find those of the next.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        return version("pytest-xdevice")
    if name in _ERRORS:
        return getattr(import_module(".errors", __name__), name)
    if name in _ELSEWHERE:
        return getattr(import_module(_ELSEWHERE[name], __name__), name)
    if name in _LIKE_BUILTINS:
        return import_module(".kernel.mathtable", __name__).FUNCTIONS[name]
    package = import_module(".kernel", __name__)
    # The subpackage can be called as the decorator of its name, since importing it takes that name over.
    return package if name == "kernel" else getattr(package, name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
