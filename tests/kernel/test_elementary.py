"""The elementary functions of f32: within 2 ULP everywhere, the same bits in every way to run them, vectorised."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pytest_xdevice as xd
from benchmarks.polynomials import derive
from benchmarks.polynomials import error_of
from benchmarks.polynomials import Fit
from benchmarks.polynomials import FITS
from pytest_xdevice.kernel import elementary as elementary_module
from pytest_xdevice.kernel import Kernel
from pytest_xdevice.kernel.elementary import ELEMENTARY
from pytest_xdevice.kernel.elementary import elementary
from pytest_xdevice.kernel.elementary import on_scalars
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.llvm.entry import kernel_module
from pytest_xdevice.kernel.opencl.program import kernel_program
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.elf import ElfFile
from pytest_xdevice.toolchain.llvm import CompilerProcess

from . import cl_program
from .irbuild import array
from .irbuild import call
from .irbuild import dimension
from .irbuild import kernel
from .irbuild import load
from .irbuild import parallel
from .irbuild import store
from .irbuild import var
from .native import Native

n = xd.dim("n")
NUMPY = {name: getattr(np, name) for name in ELEMENTARY}
Array = np.ndarray[Any, np.dtype[np.float32]]


def of_each(function: str) -> KernelIR:
    """Return a kernel that applies a function to each element."""
    params = [array("a", f32, "n"), array("b", f32, "n", mode="out")]
    body = store("b", var("i"), call(function, load("a", f32, var("i"))))
    return kernel("apply", params, parallel("i", dimension("n"), body), i=i64)


def spread(count: int, seed: int = 0) -> Array:
    """Return random bit patterns, so that every exponent comes up, and the values at which functions turn."""
    bits = np.random.default_rng(seed).integers(0, 1 << 32, count, np.uint32).view(np.float32)
    return np.concatenate([bits, turning_points()])


def turning_points() -> Array:
    """Return specials, limits of the range, and multiples of pi/4 and powers of 2 with their neighbours."""
    limits = [0, 2.0**-149, 2.0**-126, 88.72284, 88, 89, 104, 103.97208, 128, 149, 150, 0.625, 9.011, 9.125]
    turns = np.arange(1, 3000) * (np.pi / 4)
    powers = 2.0 ** np.arange(-149, 128)
    # The hardest arguments for the reduction of angles: those that are the closest to a multiple of pi/2.
    hard = [16367173.0 * 2.0**72, 11.0, 1.5707964, 4.712389, 113.09734]
    points = np.float32(np.concatenate([limits, turns, powers, hard, powers[1:] * np.sqrt(2)]))
    near = np.concatenate([points, np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(0))])
    special = np.float32([np.inf, np.nan, 3.4028235e38])
    return np.concatenate([near, -near, special, -special])


def errors_in_ulp(actual: Array, exact: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, Any]:
    """Return |actual - exact| in units of the last place of an f32; infinite where only one of them is special."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        finite = np.isfinite(rounded) & np.isfinite(actual)
        exponents = np.frexp(exact)[1] - 1
        units = np.ldexp(1.0, np.maximum(exponents, -126) - 23)
        error = np.abs(actual.astype(np.float64) - exact) / units
    same = (np.isnan(actual) & np.isnan(rounded)) | (actual == rounded)
    return np.where(finite, error, np.where(same, 0.0, np.inf))


@pytest.mark.parametrize("name", ELEMENTARY)
def test_errors_stay_within_the_bound(name: str) -> None:
    arguments = spread(1 << 20)
    results = np.empty_like(arguments)
    Native(of_each(name))(arguments, results)
    with np.errstate(all="ignore"):
        exact = NUMPY[name](arguments.astype(np.float64))
    errors = errors_in_ulp(results, exact)
    assert np.max(errors) < 1.5, arguments[np.argmax(errors)]


@pytest.mark.parametrize("name", ELEMENTARY)
def test_zeros_keep_their_sign_where_the_function_does(name: str) -> None:
    zeros = np.float32([0.0, -0.0])
    results = np.empty_like(zeros)
    Native(of_each(name))(zeros, results)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.signbit(results), np.signbit(NUMPY[name](zeros)))


@pytest.mark.parametrize("name", ELEMENTARY)
def test_the_interpreter_gives_the_bits_of_the_compiled_code(name: str) -> None:
    arguments = spread(3000)[::7].copy()
    compiled = np.empty_like(arguments)
    Native(of_each(name))(arguments, compiled)
    with np.errstate(all="ignore"):
        interpreted = np.array([on_scalars(name)(value) for value in arguments])
    assert interpreted.dtype == np.float32
    same_bits(interpreted, compiled)


@pytest.mark.usefixtures("opencl_device")
@pytest.mark.parametrize("name", ELEMENTARY)
def test_opencl_gives_the_bits_of_the_compiled_code(name: str) -> None:
    ir = of_each(name)
    arguments = spread(1 << 18, seed=1)
    compiled, by_opencl = np.empty_like(arguments), np.empty_like(arguments)
    Native(ir)(arguments, compiled)
    cl_program.build(ir.signature, kernel_program(ir)).run(ir.signature.name, arguments, by_opencl)
    same_bits(by_opencl, compiled)


def same_bits(actual: Array, expected: Array) -> None:
    """Compare bit by bit, any NaN for any other."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    np.testing.assert_array_equal(actual[~nan].view(np.uint32), expected[~nan].view(np.uint32))


@pytest.fixture(scope="module")
def compiler() -> Iterator[CompilerProcess]:
    process = CompilerProcess()
    yield process
    process.close()


@pytest.mark.parametrize("name", ELEMENTARY)
@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("x86_64-linux-gnu", r"mulps\t.*%xmm"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3", r"vmulps\t.*%ymm"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=sapphirerapids -mattr=-prefer-256-bit", r"vmulps\t.*%zmm"),
        ("aarch64-linux-gnu", r"fmul\tv\d+\.4s"),
        ("llvm -mtriple=riscv64-linux-gnu -mattr=+v", r"vfmul\.v"),
    ],
    ids=["x86-64", "avx2", "avx512", "aarch64", "rvv"],
)
def test_loops_vectorise_and_need_no_libm(name: str, text: str, operation: str, compiler: CompilerProcess) -> None:
    target = Target.parse(text)
    compiled = compiler.compile(kernel_module(of_each(name), pointer_bits=target.bits), target.machine)
    assembly = compiler.assemble(compiled.llvm_ir, target.machine)
    assert re.search(operation, assembly)
    assert not re.search(r"v?fmadd|fmla|vfmac", assembly)
    assert set(ElfFile(compiled.object).undefined) <= {"clock_gettime"}


@xd.kernel
def elu(a: xd.In[xd.f32, n], b: xd.Out[xd.f32, n]) -> None:
    for i in xd.parallel(n):
        b[i] = a[i] if a[i] > 0 else xd.exp(a[i]) - 1.0


@xd.kernel
def gelu_of_halves(a: xd.In[xd.f16, n], b: xd.Out[xd.f16, n]) -> None:
    for i in xd.parallel(n):
        x = a[i]
        b[i] = xd.f16(0.5 * x * (1.0 + xd.tanh(0.7978846 * (x + 0.044715 * x * x * x))))


@pytest.mark.parametrize("source", [elu, gelu_of_halves], ids=lambda source: source.name)
@pytest.mark.parametrize(
    ("text", "operation"),
    [("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3", r"vmulps\t.*%ymm"), ("aarch64-linux-gnu", r"fmul\tv\d+\.4s")],
    ids=["avx2", "aarch64"],
)
def test_activations_vectorise(source: Kernel, text: str, operation: str, compiler: CompilerProcess) -> None:
    target = Target.parse(text)
    compiled = compiler.compile(source.llvm_ir(target), target.machine)
    assert re.search(operation, compiler.assemble(compiled.llvm_ir, target.machine))


@pytest.mark.parametrize("name", ELEMENTARY)
def test_nothing_is_left_undefined_on_32_bit_arm(name: str, compiler: CompilerProcess) -> None:
    target = Target.parse("armv7l-linux-gnueabihf")
    compiled = compiler.compile(kernel_module(of_each(name), pointer_bits=target.bits), target.machine)
    assert set(ElfFile(compiled.object).undefined) <= {"clock_gettime"}


@pytest.mark.parametrize("fit", FITS, ids=lambda fit: fit.name.lstrip("_").lower())
def test_polynomials_are_as_good_as_they_can_be_derived(fit: Fit) -> None:
    coefficients = getattr(elementary_module, fit.name)
    assert all(np.float32(value) == value for value in coefficients)
    # To a quarter of a bit: the last bits of a processor's linear solver can turn the rounding of a coefficient.
    assert error_of(fit, coefficients) <= error_of(fit, derive(fit)) * 2**0.25
    assert error_of(fit, coefficients) < 2.0**-26


def test_functions_are_recorded_once() -> None:
    assert elementary("exp") is elementary("exp")
