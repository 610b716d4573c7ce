"""The kernel language: typed Python functions, their IR, and what reads it."""

from __future__ import annotations

import sys
from types import ModuleType

from .constructs import atomic_add
from .constructs import atomic_cas
from .constructs import atomic_max
from .constructs import atomic_min
from .constructs import barrier
from .constructs import parallel
from .constructs import private
from .constructs import shared
from .errors import KernelError
from .kernel import Kernel
from .kernel import kernel
from .mathtable import acos
from .mathtable import asin
from .mathtable import atan
from .mathtable import atan2
from .mathtable import cbrt
from .mathtable import ceil
from .mathtable import copysign
from .mathtable import cos
from .mathtable import cosh
from .mathtable import erf
from .mathtable import exp
from .mathtable import exp2
from .mathtable import expm1
from .mathtable import floor
from .mathtable import fma
from .mathtable import fmod
from .mathtable import hypot
from .mathtable import isfinite
from .mathtable import isinf
from .mathtable import isnan
from .mathtable import log
from .mathtable import log1p
from .mathtable import log2
from .mathtable import log10
from .mathtable import sin
from .mathtable import sinh
from .mathtable import sqrt
from .mathtable import tan
from .mathtable import tanh
from .mathtable import trunc
from .signature import Param
from .signature import Signature
from .types import bool_
from .types import dim
from .types import f16
from .types import f32
from .types import f64
from .types import i8
from .types import i16
from .types import i32
from .types import i64
from .types import In
from .types import InOut
from .types import Out
from .types import u8
from .types import u16
from .types import u32
from .types import u64

__all__ = [
    "In",
    "InOut",
    "Kernel",
    "KernelError",
    "Out",
    "Param",
    "Signature",
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
    "log",
    "log1p",
    "log2",
    "log10",
    "parallel",
    "private",
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
]


class _KernelPackage(ModuleType):
    """This package is also the decorator: the import system binds it to ``pytest_xdevice.kernel`` in either role."""

    __call__ = staticmethod(kernel)  # no frame of its own: the decorator looks at its caller's


sys.modules[__name__].__class__ = _KernelPackage
