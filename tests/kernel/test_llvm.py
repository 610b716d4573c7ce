"""The LLVM printer: its text verifies and emits for every architecture, vectorises, and has the promised entry."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np
import pytest

from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.llvm.entry import kernel_module
from pytest_xdevice.kernel.mathtable import FUNCTIONS
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.types import u8
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.elf import ElfFile
from pytest_xdevice.toolchain.libraries import needed_by
from pytest_xdevice.toolchain.llvm import CompilerProcess

from .drawn import expression_kernel
from .drawn import operands
from .drawn import operations
from .drawn import TYPES
from .irbuild import array
from .irbuild import assign
from .irbuild import both
from .irbuild import call
from .irbuild import cmp
from .irbuild import const
from .irbuild import dimension
from .irbuild import kernel
from .irbuild import load
from .irbuild import loop
from .irbuild import op
from .irbuild import parallel
from .irbuild import scalar
from .irbuild import store
from .irbuild import var
from .irbuild import when
from .native import Native

TARGETS = [
    "x86_64-linux-gnu",
    "llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3",
    "aarch64-linux-gnu",
    "armv7l-linux-gnueabihf",
    "llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a7",
    "llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a53",
    "riscv64-linux-gnu",
]
INDEX, N = var("i"), dimension("n")


@pytest.fixture(scope="module")
def compiler() -> Iterator[CompilerProcess]:
    process = CompilerProcess()
    yield process
    process.close()


def add_one(element: ScalarType = f32) -> KernelIR:
    body = store("b", INDEX, op("add", load("a", element, INDEX), const(1, element)))
    return kernel(
        "add_one", [array("a", element, "n"), array("b", element, "n", mode="out")], parallel("i", N, body), i=i64
    )


def saxpy() -> KernelIR:
    value = op("add", op("mul", var("alpha", f32), load("x", f32, INDEX)), load("y", f32, INDEX))
    params = [scalar("alpha", f32), array("x", f32, "n"), array("y", f32, "n", mode="inout")]
    return kernel("saxpy", params, parallel("i", N, store("y", INDEX, value)), i=i64)


def stencil() -> KernelIR:
    """Three points, behind a guard against both ends."""
    before, after = op("sub", INDEX, const(1)), op("add", INDEX, const(1))
    total = op("add", op("add", load("a", f32, before), load("a", f32, INDEX)), load("a", f32, after))
    guard = both(cmp("lt", const(0), INDEX), cmp("lt", INDEX, op("sub", N, const(1))))
    params = [array("a", f32, "n"), array("b", f32, "n", mode="inout")]
    return kernel("stencil", params, parallel("i", N, when(guard, store("b", INDEX, total))), i=i64)


def math_table() -> KernelIR:
    """Every function of the math table, on both floating-point types."""
    drawn = []
    for element in (f32, f64):
        a, b = operands(element)
        for function in FUNCTIONS.values():
            result = bool_ if function.rule == "test" else element
            drawn.append(call(function.name, *(a, b, a)[: function.arity], type=result))
    return expression_kernel(drawn)


def all_operations() -> KernelIR:
    return expression_kernel([expr for each in TYPES for expr in operations(each)])


def printed(ir: KernelIR, target: Target) -> str:
    return kernel_module(ir, pointer_bits=target.bits)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("make", [all_operations, math_table, stencil], ids=lambda make: make.__name__)
def test_emits_an_object_whose_needs_are_in_libm_and_libgcc(
    make: Callable[[], KernelIR], text: str, compiler: CompilerProcess
) -> None:
    target = Target.parse(text)
    compiled = compiler.compile(printed(make(), target), target.machine)
    _, unknown = needed_by(ElfFile(compiled.object).undefined, target)
    assert unknown == ()


@pytest.mark.parametrize("make", [add_one, saxpy, stencil], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("text", "operation"),
    [("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3", r"vaddps.*%ymm"), ("aarch64-linux-gnu", r"fadd\tv\d+\.4s")],
    ids=["x86-64-v3", "aarch64"],
)
def test_simple_loops_vectorise(
    make: Callable[[], KernelIR], text: str, operation: str, compiler: CompilerProcess
) -> None:
    target = Target.parse(text)
    compiled = compiler.compile(printed(make(), target), target.machine)
    assert re.search(operation, compiler.assemble(compiled.llvm_ir, target.machine))


def test_integer_loops_vectorise_on_armv7(compiler: CompilerProcess) -> None:
    target = Target.parse("llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a7")
    compiled = compiler.compile(printed(add_one(i32), target), target.machine)
    assert re.search(r"vadd\.i32\tq", compiler.assemble(compiled.llvm_ir, target.machine))


def test_f32_on_armv7_stays_off_neon_which_flushes_subnormals(compiler: CompilerProcess) -> None:
    target = Target.parse("llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a7")
    drawn = [expr for expr in operations(f32) if expr.type == f32]
    compiled = compiler.compile(printed(expression_kernel(drawn), target), target.machine)
    assembly = compiler.assemble(compiled.llvm_ir, target.machine)
    assert not re.search(r"v(add|sub|mul|min|max|cvt)\.f32(\.s32)?\t[qd]\d", assembly)


def test_scalars_of_every_type_reach_the_kernel() -> None:
    params = [scalar(f"x_{each.name}", each) for each in TYPES]
    params += [array(f"r_{each.name}", each, 1, mode="out") for each in TYPES]
    stores = [store(f"r_{each.name}", const(0), var(f"x_{each.name}", each)) for each in TYPES]
    given = [True if each == bool_ else each.dtype.type(100) for each in TYPES]
    outs = [np.zeros(1, each.dtype) for each in TYPES]
    Native(kernel("scalars", params, *stores))(*given, *outs)
    assert [out[0] for out in outs] == given


def test_fast_words_become_flags() -> None:
    body = store("a", const(0), op("add", load("a", f32, const(0)), const(1.0, f32)))

    def flags(*fast: str) -> str:
        text = kernel_module(kernel("k", [array("a", f32, 1, mode="inout")], body, fast=fast), pointer_bits=64)
        found = re.search(r"= fadd (.*)float %", text)
        assert found
        return found[1]

    assert flags() == ""
    assert flags("contract") == "contract "
    assert flags("contract", "reassoc") == "contract reassoc nsz "
    assert flags("full") == "fast "


def test_a_reduction_vectorises_only_when_sums_may_be_reordered(compiler: CompilerProcess) -> None:
    target = Target.parse("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3")
    total = op("add", var("total", f32), load("a", f32, INDEX))
    body = [
        assign("total", const(0.0, f32)),
        loop("i", const(0), N, assign("total", total, declares=False)),
        store("s", const(0), var("total", f32)),
    ]

    def assembly(*fast: str) -> str:
        ir = kernel("dot", [array("a", f32, "n"), array("s", f32, 1, mode="out")], *body, fast=fast, i=i64, total=f32)
        compiled = compiler.compile(printed(ir, target), target.machine)
        return compiler.assemble(compiled.llvm_ir, target.machine)

    assert "ymm" in assembly("reassoc")
    assert "ymm" not in assembly()


def test_constant_divisors_need_no_check_for_zero(compiler: CompilerProcess) -> None:
    target = Target.parse("x86_64-linux-gnu")
    a, _ = operands(i32)
    ir = expression_kernel([op("floordiv", a, const(2, i32)), op("mod", a, const(3, i32))])
    compiled = compiler.compile(printed(ir, target), target.machine)
    assembly = compiler.assemble(compiled.llvm_ir, target.machine)
    assert "idiv" not in assembly
    assert "sar" in assembly or "psrad" in assembly


def test_names_may_be_any_python_identifier() -> None:
    body = store("größe", var("ι"), op("mul", load("größe", f32, var("ι")), var("α", f32)))
    params = [array("größe", f32, "ν", mode="inout"), scalar("α", f32)]
    ir = kernel("scale", params, parallel("ι", dimension("ν"), body), ι=i64)
    sizes = np.arange(9, dtype=np.float32)
    Native(ir)(sizes, 2.0)
    np.testing.assert_array_equal(sizes, np.arange(9) * 2)


def test_literals_keep_every_bit() -> None:
    numbers = [0.1, -0.0, 1e-45, 3.4028235e38, math.inf, math.nan, 1e300]
    params = [
        array("r", f32, len(numbers), mode="out"),
        array("d", f64, len(numbers), mode="out"),
        array("u", u8, 1, mode="out"),
    ]
    stores = [store("r", const(at), const(number, f32)) for at, number in enumerate(numbers)]
    stores += [store("d", const(at), const(number, f64)) for at, number in enumerate(numbers)]
    single, double, byte = np.zeros(7, np.float32), np.zeros(7), np.zeros(1, np.uint8)
    Native(kernel("literals", params, *stores, store("u", const(0), const(200, u8))))(single, double, byte)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(single, np.array(numbers).astype(np.float32))
    np.testing.assert_array_equal(double, numbers)
    assert np.signbit(single[1])
    assert byte[0] == 200
