"""Half precision as a storage type: every half, and every place where rounding turns, on each way to convert."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.llvm.entry import kernel_module
from pytest_xdevice.kernel.opencl.program import kernel_program
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f16
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.types import u8
from pytest_xdevice.kernel.types import u64
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.elf import ElfFile
from pytest_xdevice.toolchain.half import Support
from pytest_xdevice.toolchain.libraries import needed_by
from pytest_xdevice.toolchain.llvm import shared

from . import cl_program
from .irbuild import array
from .irbuild import cast
from .irbuild import dimension
from .irbuild import kernel
from .irbuild import load
from .irbuild import parallel
from .irbuild import store
from .irbuild import var
from .native import Native

TARGETS = [
    "x86_64-linux-gnu",
    "llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3",
    "llvm -mtriple=x86_64-linux-gnu -mcpu=sapphirerapids",
    "i686-linux-gnu",
    "llvm -mtriple=i686-linux-gnu -mattr=+sse2",
    "aarch64-linux-gnu",
    "llvm -mtriple=aarch64-linux-gnu -mcpu=neoverse-n1",
    "armv6-linux-gnueabihf",
    "armv7l-linux-gnueabihf",
    "armv7l-linux-gnueabi",
    "llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a8",
    "llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a7",
    "llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a53",
    "riscv64-linux-gnu",
    "llvm -mtriple=riscv64-linux-gnu -mattr=+zfhmin",
    "llvm -mtriple=riscv64-linux-gnu -mattr=+v",
]


def conversion(source: ScalarType, target: ScalarType) -> KernelIR:
    """Return a kernel that casts each element of ``a``."""
    params = [array("a", source, "n"), array("b", target, "n", mode="out")]
    body = store("b", var("i"), cast(load("a", source, var("i")), target))
    return kernel("convert", params, parallel("i", dimension("n"), body), i=i64)


def every_half() -> np.ndarray[Any, np.dtype[np.float16]]:
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def around_halves(dtype: Any) -> np.ndarray[Any, Any]:
    """Return every half, every point half-way between two, and the neighbours of those, with both signs."""
    halves = np.sort(every_half()[:0x7C00].astype(np.float64))
    middles = np.append((halves[:-1] + halves[1:]) / 2, 65520.0)
    points = np.concatenate([halves, middles]).astype(dtype)
    near = [points, np.nextafter(points, dtype(np.inf)), np.nextafter(points, dtype(-np.inf))]
    limits = np.finfo(dtype)
    other = [np.inf, np.nan, float(limits.max), float(limits.tiny), float(limits.smallest_subnormal), 65536.0, 1e30]
    positive = np.concatenate([*near, np.array(other, dtype)])
    return np.concatenate([positive, -positive])


def same_halves(actual: Any, expected: Any) -> None:
    """Compare bit by bit, any NaN for any other."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    unsigned = f"u{expected.dtype.itemsize}"
    np.testing.assert_array_equal(actual.view(unsigned)[~nan], expected.view(unsigned)[~nan])


def has_f16c() -> bool:
    return bool(shared().enabled(["f16c"], Target.host().machine)) if Target.host().arch == "x86_64" else False


@pytest.fixture(params=["none", "f32", "opencl"])
def convert(request: pytest.FixtureRequest) -> Any:
    """Return a function that runs a conversion: by integers, by the instructions that there are, and in OpenCL."""
    if request.param == "opencl":
        request.getfixturevalue("opencl_device")
        return lambda ir, *arrays: cl_program.build(ir.signature, kernel_program(ir)).run(ir.signature.name, *arrays)
    supported: Support = "f32" if request.param == "f32" and has_f16c() else "none"
    return lambda ir, *arrays: Native(ir, supported)(*arrays)


@pytest.mark.parametrize("target", [f32, f64], ids=repr)
def test_every_half_widens_exactly(convert: Any, target: ScalarType) -> None:
    halves = every_half()
    wide = np.empty(halves.size, target.dtype)
    convert(conversion(f16, target), halves, wide)
    same_halves(wide, halves.astype(target.dtype))


@pytest.mark.parametrize("source", [f32, f64], ids=repr)
def test_floats_narrow_to_the_nearest_half_in_one_rounding(convert: Any, source: ScalarType) -> None:
    wide = around_halves(source.dtype.type)
    halves = np.empty(wide.size, np.float16)
    convert(conversion(source, f16), wide, halves)
    with np.errstate(over="ignore"):
        same_halves(halves, wide.astype(np.float16))


def test_random_floats_narrow_as_in_numpy(convert: Any) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 1 << 20, np.uint32)
    halves = np.empty(bits.size, np.float16)
    convert(conversion(f32, f16), bits.view(np.float32), halves)
    with np.errstate(over="ignore", invalid="ignore"):
        same_halves(halves, bits.view(np.float32).astype(np.float16))


@pytest.mark.parametrize("source", [bool_, u8, i32, i64, u64], ids=repr)
def test_integers_become_the_nearest_half(convert: Any, source: ScalarType) -> None:
    top = 1 if source == bool_ else int(np.iinfo(source.dtype).max)
    values = [v for v in (0, 1, 7, 200, 2049, 2051, 65504, 65519, 65520, 1 << 24, top) if v <= top]
    given = np.array(values, source.dtype)
    halves = np.empty(given.size, np.float16)
    convert(conversion(source, f16), given, halves)
    with np.errstate(over="ignore"):
        same_halves(halves, given.astype(np.float16))


@pytest.mark.parametrize("target", [bool_, u8, i32, i64], ids=repr)
def test_halves_become_integers_by_saturation(convert: Any, target: ScalarType) -> None:
    halves = np.float16([0.0, -0.0, 0.7, -0.7, 3.5, 255.0, 300.0, -5.0, 65504.0, np.inf, -np.inf, np.nan])
    out = np.empty(halves.size, target.dtype)
    convert(conversion(f16, target), halves, out)
    np.testing.assert_array_equal(out, [target(value) for value in halves])


@pytest.mark.parametrize("text", TARGETS)
def test_half_precision_needs_no_library(text: str) -> None:
    target = Target.parse(text)
    for ir in (conversion(f16, f32), conversion(f16, f64), conversion(f32, f16), conversion(f64, f16)):
        text = _printed(ir, target)
        needed, unknown = needed_by(ElfFile(shared().compile(text, target.machine).object).undefined, target)
        assert unknown == ()
        allowed = {"libc.so.6"} | ({"libgcc_s.so.1"} if target.float_abi == "soft" else set())
        assert {library.soname for library in needed} <= allowed


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v2", r"pslld"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3", r"vcvtph2ps\t.*%ymm"),
        ("aarch64-linux-gnu", r"fcvtl\tv\d+\.4s"),
    ],
    ids=["without", "f16c", "aarch64"],
)
def test_conversions_vectorise(text: str, operation: str) -> None:
    target = Target.parse(text)
    compiled = shared().compile(_printed(conversion(f16, f32), target), target.machine)
    assert re.search(operation, shared().assemble(compiled.llvm_ir, target.machine))


def _printed(ir: KernelIR, target: Target) -> str:
    return kernel_module(ir, pointer_bits=target.bits)
