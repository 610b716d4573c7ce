"""The OpenCL C printer: one kernel a phase, exact literals, and no construct that C leaves undefined."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from pytest_xdevice.artifact import OpenCLProgram
from pytest_xdevice.kernel.geometry import Phase
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Return
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.mathtable import FUNCTIONS
from pytest_xdevice.kernel.opencl.program import kernel_program
from pytest_xdevice.kernel.opencl.spelling import literal
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i8
from pytest_xdevice.kernel.types import i32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.types import u16
from pytest_xdevice.kernel.types import u32
from pytest_xdevice.kernel.types import u64

from . import cl_program
from .drawn import expression_kernel
from .drawn import operands
from .drawn import TYPES
from .irbuild import array
from .irbuild import assign
from .irbuild import AT
from .irbuild import call
from .irbuild import cast
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

INDEX, N = var("i"), dimension("n")
FIRST = load("a", f32, const(0))


def program(*body: Stmt, fast: tuple[str, ...] = (), **locals: ScalarType) -> OpenCLProgram:
    params = [array("a", f32, "n", mode="inout"), scalar("k", i64)]
    return kernel_program(kernel("k", params, *body, fast=fast, **{"i": i64, **locals}))


def fill(value: float, extent: object = N, block: tuple[int, ...] | None = None) -> Stmt:
    return parallel("i", extent, store("a", INDEX, const(value, f32)), block=block)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "scalar_type", "text"),
    [
        (1, i32, "1"),
        (-(1 << 31), i32, "(-2147483647 - 1)"),
        (7, u32, "7u"),
        (7, i64, "7L"),
        (-(1 << 63), i64, "(-9223372036854775807L - 1)"),
        ((1 << 64) - 1, u64, "18446744073709551615UL"),
        (True, bool_, "true"),
        (1.0, f32, "1.0f"),
        (0.1, f32, "0x1.99999ap-4f"),
        (0.1, f64, "0x1.999999999999ap-4"),
        (-0.0, f32, "-0.0f"),
        (math.inf, f32, "as_float(0x7f800000u)"),
        (-math.inf, f64, "as_double(0xfff0000000000000UL)"),
        (math.nan, f32, "as_float(0x7fc00000u)"),
        (1e300, f32, "as_float(0x7f800000u)"),
    ],
)
def test_literals(value: float, scalar_type: ScalarType, text: str) -> None:
    assert literal(value, scalar_type) == text


def test_contraction_is_off_unless_it_is_asked_for() -> None:
    assert program(fill(1.0)).source.startswith("#pragma OPENCL FP_CONTRACT OFF\n\n#ifdef XD_SMALL")
    assert "#pragma OPENCL FP_CONTRACT ON\n\n__kernel" in program(fill(1.0), fast=("contract",)).source


def test_doubles_are_enabled_only_where_there_are_any() -> None:
    assert "cl_khr_fp64" not in program(fill(1.0)).source
    value = cast(op("mul", cast(FIRST, f64), const(0.1, f64)), f32)
    assert "cl_khr_fp64 : enable" in program(store("a", const(0), value)).source


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (i32, "as_int((uint)p_a_i32[v_i] + (uint)p_b_i32[v_i])"),
        (i64, "as_long((ulong)p_a_i64[v_i] + (ulong)p_b_i64[v_i])"),
        (i8, "(char)((uint)p_a_i8[v_i] + (uint)p_b_i8[v_i])"),
        (u16, "(ushort)((uint)p_a_u16[v_i] + (uint)p_b_u16[v_i])"),
        (u32, "p_a_u32[v_i] + p_b_u32[v_i]"),
        (f32, "p_a_f32[v_i] + p_b_f32[v_i]"),
    ],
    ids=repr,
)
def test_signed_arithmetic_is_done_unsigned(element: ScalarType, text: str) -> None:
    source = kernel_program(expression_kernel([op("add", *operands(element))])).source
    assert f"p_r0[v_i] = {text};" in source


def test_every_phase_takes_the_same_arguments() -> None:
    made = program(fill(1.0), store("a", const(0), const(5.0, f32)), fill(2.0))
    heads = re.findall(r"__kernel void \w+\((.*)\)", made.source)
    assert heads == ["__global float *restrict p_a, long p_k, long d_n"] * 3
    assert [phase.entry for phase in made.phases] == ["xd_k_0", "xd_k_1", "xd_k_2"]
    assert made.carry_bytes == 0


def test_inputs_are_const() -> None:
    ir = kernel(
        "k", [array("a", f32, "n"), array("b", bool_, "n", mode="out")], store("b", const(0), cmp("gt", FIRST, FIRST))
    )
    assert "__global const float *p_a, __global uchar *restrict p_b, long d_n" in kernel_program(ir).source


def test_the_last_variable_is_dimension_0_and_block_is_reversed() -> None:
    body = store("c", (var("y"), var("x")), const(1, i32))
    nest = parallel("y x", (dimension("m"), N), body, block=(4, 16))
    made = kernel_program(kernel("k", [array("c", i32, "m", "n", mode="out")], nest, y=i64, x=i64))
    assert made.phases == (Phase("xd_k_0", ("m", "n"), (4, 16), each=(1, 4)),)
    assert "reqd_work_group_size(16, 4, 1)" in made.source
    assert "v_x = XD_BESIDE(xd_index, k3, 4, 0);" in made.source
    assert "v_y = (xd_index)get_global_id(1);" in made.source
    assert "if ((long)v_y < d_m && (long)v_x < d_n) {" in made.source
    assert "p_c[v_y * (xd_index)d_n + v_x] = 1;" in made.source


@pytest.mark.parametrize(
    ("extent", "geometry", "values", "size"),
    [
        (const(8), 8, {}, 8),
        (op("floordiv", op("sub", N, const(1)), var("k")), ["floordiv", ["sub", "n", 1], "k"], {"n": 11, "k": 3}, 3),
        (op("mod", N, const(0)), ["mod", "n", 0], {"n": 11}, 0),
        (call("min", N, const(5)), ["min", "n", 5], {"n": 11}, 5),
        (cast(var("k", i32), i64), "k", {"k": 7}, 7),
    ],
)
def test_extents_are_data_for_the_launcher(extent: object, geometry: object, values: dict[str, int], size: int) -> None:
    made = program(fill(1.0, extent))
    (phase,) = made.phases
    assert phase.extents == (geometry,)
    assert Phase.from_json(phase.to_json()).sizes(values) == (size,)


def test_nothing_to_do_makes_no_phase() -> None:
    assert program().phases == ()
    assert len(program(assign("x", const(1.0, f32)), fill(1.0), x=f32).phases) == 1


def test_locals_of_scalars_alone_are_computed_again_instead_of_carried() -> None:
    twice = assign("x", op("mul", var("k"), const(2)))
    use = store("a", const(0), cast(var("x"), f32))
    made = program(twice, fill(1.0), use, x=i64)
    assert len(made.phases) == 2
    assert made.carry_bytes == 0
    assert made.source.count("v_x = as_long((ulong)p_k * (ulong)2L);") == 1


def test_locals_from_memory_are_carried() -> None:
    made = program(assign("x", FIRST), parallel("i", N, store("a", INDEX, var("x", f32))), x=f32)
    assert [phase.extents for phase in made.phases] == [(), ("n",)]
    assert made.carry_bytes == 8
    assert "*(__global float *)(xd_carry + 0) = v_x;" in made.source
    assert "v_x = *(__global float *)(xd_carry + 0);" in made.source
    assert made.source.count("__global char *xd_carry") == 2


def test_an_early_return_that_depends_on_scalars_needs_no_flag() -> None:
    made = program(when(cmp("lt", var("k"), const(0)), Return(AT)), fill(1.0), fill(2.0))
    assert len(made.phases) == 2
    assert made.carry_bytes == 0
    assert made.source.count("if (p_k < 0L)") == 2


def test_an_early_return_that_depends_on_memory_sets_a_flag() -> None:
    made = program(when(cmp("lt", FIRST, const(0.0, f32)), Return(AT)), fill(1.0), fill(2.0))
    assert len(made.phases) == 3
    assert made.carry_bytes == 8
    assert made.source.count("if (*(__global int *)(xd_carry + 0)) return;") == 2


@pytest.mark.usefixtures("opencl_device")
def test_names_are_prefixed_and_ascii() -> None:
    ir = kernel(
        "größe",
        [array("float", f32, "ν", mode="out")],
        parallel("ι", dimension("ν"), store("float", var("ι"), const(0.0, f32))),
        ι=i64,
    )
    made = kernel_program(ir)
    assert made.source.isascii()
    out = np.ones(3, np.float32)
    cl_program.build(ir.signature, made).run("größe", out)
    np.testing.assert_array_equal(out, 0)


@pytest.mark.usefixtures("opencl_device")
def test_every_function_of_the_math_table_is_right() -> None:
    drawn, expected = [], []
    x, y = 0.625, 0.25
    reference = {
        "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "pow": np.power,
        "erf": math.erf, "fma": lambda a, b, c: a * b + c, "round": np.rint, "min": np.minimum, "max": np.maximum,
    }  # fmt: skip
    for element in (f32, f64):
        a, b = operands(element)
        for function in FUNCTIONS.values():
            result = bool_ if function.rule == "test" else element
            drawn.append(call(function.name, *(a, b, a)[: function.arity], type=result))
            compute = reference.get(function.name) or getattr(np, function.name)
            expected.append((compute(*(x, y, x)[: function.arity]), element))
    ir: KernelIR = expression_kernel(drawn)
    given = [np.full(1, value, each.dtype) for each in TYPES for value in (x, y)]
    outs = [np.zeros(1, expr.type.dtype) for expr in drawn]
    cl_program.build(ir.signature, kernel_program(ir)).run("drawn", *given, *outs)
    for expr, out, (value, element) in zip(drawn, outs, expected, strict=True):
        np.testing.assert_allclose(out[0], value, rtol=1e-6 if element == f32 else 1e-14, err_msg=str(expr))


@pytest.mark.usefixtures("opencl_device")
@pytest.mark.parametrize("option", ["-DXD_CPU", "-DXD_GPU"])
def test_loops_count_alike_on_cpus_and_gpus(option: str) -> None:
    inner = loop("j", const(2), var("i"), store("seen", (var("i"), var("j")), op("add", var("i"), var("j"))))
    after = store("last", var("i"), var("j"))
    ir = kernel(
        "counts",
        [array("seen", i64, "n", "n", mode="inout"), array("last", i64, "n", mode="inout")],
        loop("i", const(3), dimension("n"), inner, after),
        i=i64,
        j=i64,
    )
    program = kernel_program(ir)
    seen, last = np.zeros((9, 9), np.int64), np.full(9, -1)
    built = cl_program.build(ir.signature, replace(program, build_options=(*program.build_options, option)))
    built.run("counts", seen, last)
    expected = np.add.outer(np.arange(9), np.arange(9)) * (np.arange(9)[:, None] > np.maximum(np.arange(9), 2))
    expected[:, :2] = 0
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(last, [-1, -1, -1, 2, 3, 4, 5, 6, 7])
