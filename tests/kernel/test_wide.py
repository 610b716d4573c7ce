"""Conversions between 64-bit integers and floats as 32-bit targets do them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from pytest_xdevice.kernel.llvm import wide
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.types import u64
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.elf import ElfFile
from pytest_xdevice.toolchain.llvm import shared

from .irbuild import array
from .irbuild import cast
from .irbuild import dimension
from .irbuild import kernel
from .irbuild import load
from .irbuild import parallel
from .irbuild import store
from .irbuild import var
from .native import optimised
from .test_llvm import printed

Array = np.ndarray[Any, Any]
TYPES = {"f32": "float", "f64": "double", "i64": "i64", "u64": "i64"}
PAIRS = [(whole, real) for whole in (i64, u64) for real in (f32, f64)]


def converter(source: ScalarType, target: ScalarType) -> Callable[[Array], Array]:
    """Return the conversion, as 32-bit targets have it, run in this process on each element."""
    define = wide.to_float if target.is_float else wide.from_float
    operand, result = TYPES[source.name], TYPES[target.name]
    text = f"""{define("@convert", source, target)}
define void @one(ptr %from, ptr %to) {{
  %x = load {operand}, ptr %from
  %y = call {result} @convert({operand} %x)
  store {result} %y, ptr %to
  ret void
}}
""" + "\n".join(wide.DECLARATIONS.values())
    machine = llvm.Target.from_default_triple().create_target_machine(opt=3)
    engine = llvm.create_mcjit_compiler(optimised(text, machine, "none"), machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address("one"))

    def convert(values: Array, _keep: Any = engine) -> Array:
        results = np.empty(values.size, target.dtype)
        for at in range(values.size):
            function(values[at:].ctypes.data, results[at:].ctypes.data)
        return results

    return convert


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=repr)
def test_integers_round_once(source: ScalarType, target: ScalarType) -> None:
    rng = np.random.default_rng(0)
    limits = np.iinfo(source.dtype)
    powers = [1 << bits for bits in range(64)]
    # Half-way between two f32 but for the last bit, which f64 would lose.
    ties = [(1 << 62) + (1 << 38) + more for more in (-1, 0, 1)] + [(3 << 61) + (1 << 38) + more for more in (-1, 0, 1)]
    near = [value + step for value in powers for step in (-1, 0, 1)] + ties
    whole = [value for value in near + [-value for value in near] if limits.min <= value <= limits.max]
    drawn = rng.integers(limits.min, limits.max, 2000, source.dtype, endpoint=True)
    values = np.concatenate([np.array(whole, source.dtype), drawn, drawn >> source.dtype.type(9)])
    np.testing.assert_array_equal(converter(source, target)(values), values.astype(target.dtype))


@pytest.mark.parametrize(("target", "source"), PAIRS, ids=repr)
def test_floats_saturate(source: ScalarType, target: ScalarType) -> None:
    rng = np.random.default_rng(0)
    powers = np.ldexp(1.0, np.arange(-3, 70))
    edges = np.concatenate([powers, powers * 1.5, [0.0, 0.7, 1e30, np.inf]]).astype(source.dtype)
    below = np.nextafter(edges, source.dtype.type(0))
    drawn = np.ldexp(rng.uniform(-1, 1, 2000), rng.integers(0, 66, 2000)).astype(source.dtype)
    values = np.concatenate([edges, -edges, below, -below, drawn, [source.dtype.type(np.nan)]]).astype(source.dtype)
    np.testing.assert_array_equal(converter(source, target)(values), [target(value) for value in values])


@pytest.mark.parametrize("text", ["armv6-linux-gnueabihf", "armv7l-linux-gnueabihf", "i686-linux-gnu"])
def test_conversions_need_no_library(text: str) -> None:
    target = Target.parse(text)
    for source, wanted in PAIRS + [(real, whole) for whole, real in PAIRS]:
        params = [array("a", source, "n"), array("b", wanted, "n", mode="out")]
        body = store("b", var("i"), cast(load("a", source, var("i")), wanted))
        ir = kernel("convert", params, parallel("i", dimension("n"), body), i=i64)
        compiled = shared().compile(printed(ir, target), target.machine)
        assert set(ElfFile(compiled.object).undefined) <= {"clock_gettime", "_GLOBAL_OFFSET_TABLE_"}
