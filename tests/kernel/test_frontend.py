"""What kernels mean: each feature of the language, run in every way and compared with what NumPy computes."""

from __future__ import annotations

import linecache
import math
from enum import IntEnum
from math import exp as natural_exp
from typing import Any

import numpy as np
import pytest

import pytest_xdevice as xd
from pytest_xdevice import ArgumentError
from pytest_xdevice import bool_
from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import fma
from pytest_xdevice import i8
from pytest_xdevice import i16
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import private
from pytest_xdevice import u8
from pytest_xdevice import u32
from pytest_xdevice import u64
from pytest_xdevice.artifact import KernelSource
from pytest_xdevice.kernel import ir
from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.types import SCALARS
from tests.kernel.ways import Run
from tests.kernel.ways import WAYS

n = dim("n")
m = dim("m")
k = dim("k")

SCALE = 3
GAIN = 0.5
TYPED = np.float32(0.25)
ENABLED = True


class Mode(IntEnum):
    FAST = 7


@pytest.fixture(params=WAYS)
def run(request: pytest.FixtureRequest) -> Run:
    """Return a function that runs a kernel in one of the ways: ``run(kernel, *arguments)``."""
    return WAYS[request.param]


def array(*values: Any, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.array(values, dtype)


# --- arrays and parallel loops ---------------------------------------------------------------------------


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] + 1.0


def test_out_array_is_written_in_place_and_nothing_is_returned(run: Run) -> None:
    a, b = array(1, 2, 3), np.zeros(3, np.float32)
    assert run(add_one, a, b) is None
    np.testing.assert_array_equal(b, a + 1)


def test_out_array_that_was_left_out_is_returned(run: Run) -> None:
    a = array(1, 2, 3)
    result = run(add_one, a)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, a + 1)


def test_two_out_arrays_that_were_left_out_are_returned_in_order(run: Run) -> None:
    @kernel
    def split(a: In[i32, n], low: Out[i32, n], high: Out[bool_, n]):
        for i in parallel(n):
            low[i] = a[i] & 15
            high[i] = a[i] > 15

    low, high = run(split, array(3, 20, dtype=np.int32))
    np.testing.assert_array_equal(low, [3, 4])
    np.testing.assert_array_equal(high, [False, True])


def test_read_only_array_cannot_be_written() -> None:
    a, b = array(1), np.zeros(1, np.float32)
    b.flags.writeable = False
    with pytest.raises(ArgumentError) as caught:
        add_one.python(a, b)
    assert str(caught.value) == "add_one: b is written and is read-only: pass b.copy()"


def test_interpreter_refuses_memory_that_is_written_for_one_of_two_parameters() -> None:
    both = np.arange(6, dtype=np.float32)
    with pytest.raises(ArgumentError) as caught:
        add_one.python(both[:4], both[2:])
    assert str(caught.value) == (
        "add_one: a and b share memory, and one of them is written: declare one InOut parameter instead, or pass a copy"
    )
    add_one.python(both[:3], both[3:])
    assert both.tolist() == [0, 1, 2, 1, 2, 3]


@pytest.mark.parametrize("name", [name for name in SCALARS if name != "f16"])
def test_every_type_is_loaded_and_stored(run: Run, name: str) -> None:
    type_ = SCALARS[name]

    @kernel
    def copy(a: In[type_, n], b: Out[type_, n]):
        for i in parallel(n):
            b[i] = a[i]

    a = np.array([0, 1, 1, 0]).astype(type_.dtype)
    result = run(copy, a)
    assert result.dtype == a.dtype
    np.testing.assert_array_equal(result, a)


def test_f16_is_loaded_as_f32_and_stored_by_a_cast(run: Run) -> None:
    @kernel
    def double(a: In[f16, n], b: Out[f16, n], wide: Out[f32, n]):
        for i in parallel(n):
            wide[i] = a[i] * 3
            b[i] = f16(a[i] * 2)

    half, wide = run(double, array(1.5, 0.1, dtype=np.float16))
    np.testing.assert_array_equal(half, array(3, 0.2, dtype=np.float16))
    np.testing.assert_array_equal(wide, array(1.5, 0.1, dtype=np.float16).astype(np.float32) * np.float32(3))


def test_matrix_product_of_a_factory_with_annotations_kept_as_text(run: Run) -> None:
    def make(T: Any) -> Any:
        @kernel
        def matmul(a: In[T, m, k], b: In[T, k, n], c: Out[T, m, n]):
            for i, j in parallel(m, n, block=(8, 8)):
                total = T(0)
                for p in range(a.shape[1]):
                    total += a[i, p] * b[p, j]
                c[i, j] = total

        return matmul

    rng = np.random.default_rng(0)
    for type_ in (f32, f64, i32):
        a, b = (rng.uniform(-9, 9, shape).astype(type_.dtype) for shape in ((3, 4), (4, 5)))
        np.testing.assert_allclose(run(make(type_), a, b), a @ b, rtol=1e-5)
    assert make(f32).ir.body[0].block == (8, 8)


def test_annotation_finds_a_name_of_the_enclosing_function_only() -> None:
    extent = dim("inner")

    @kernel
    def fill(a: Out[f32, extent]):
        a[0] = 1

    assert fill.signature.dims == ("inner",)


def test_dim_that_was_made_within_an_annotation_can_be_read(run: Run) -> None:
    @kernel
    def count(a: In[f32, dim("rows")], b: Out[i64, 1]):
        b[0] = rows  # noqa: F821

    assert run(count, np.zeros(5, np.float32))[0] == 5


def test_three_dimensions(run: Run) -> None:
    @kernel
    def transpose(a: In[i32, m, n, k], b: Out[i32, k, n, m]):
        for x, y, z in parallel(m, n, k):
            b[z, y, x] = a[x, y, z] + i32(x) * 100

    a = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    np.testing.assert_array_equal(
        run(transpose, a), a.transpose(2, 1, 0) + 100 * np.arange(2, dtype=np.int32)[None, None, :]
    )


def test_several_parallel_loops_run_one_after_the_other(run: Run) -> None:
    @kernel
    def smooth(a: In[f32, n], t: InOut[f32, n], b: Out[f32, n]):
        for i in parallel(n, block=4):
            t[i] = a[i] * 2
        for i in parallel(n):
            b[i] = t[n - 1 - i]

    a = array(1, 2, 3)
    np.testing.assert_array_equal(run(smooth, a, np.zeros(3, np.float32)), (a * 2)[::-1])


def test_extents_are_arithmetic_on_dims_shapes_and_parameters(run: Run) -> None:
    @kernel
    def fill(b: InOut[i32, n, m], rows: u8, skip: i32):
        for i, j in parallel(min(rows * 2, n), max(b.shape[1] // 2 - skip, 0) % 100):
            b[i, j] = 1

    b = np.zeros((5, 8), np.int32)
    run(fill, b, 200, 1)  # rows * 2 is 400, and not 144 as in u8
    expected = np.zeros_like(b)
    expected[:5, :3] = 1
    np.testing.assert_array_equal(b, expected)


def test_negative_extent_runs_no_iteration(run: Run) -> None:
    @kernel
    def fill(b: InOut[i32, n], count: i32):
        for i in parallel(count):
            b[i] = 1

    b = np.zeros(3, np.int32)
    run(fill, b, -4)
    assert not b.any()


def test_locals_of_different_parallel_loops_are_different_variables(run: Run) -> None:
    @kernel
    def both(a: In[f32, n], b: Out[f32, n], c: Out[i64, n]):
        x = 5
        for i in parallel(n):
            y = a[i] * 2
            b[i] = y
        for i in parallel(n):
            y = i + x
            c[i] = y

    assert both.ir.locals == {"x": i64, "i": i64, "y": f32, "i_2": i64, "y_2": i64}
    assert [type(statement) for statement in both.ir.body] == [Assign, Parallel, Parallel]
    b, c = run(both, array(1, 2))
    np.testing.assert_array_equal(b, [2, 4])
    np.testing.assert_array_equal(c, [5, 6])


def test_parallel_loop_may_reuse_the_name_of_an_earlier_loop_variable(run: Run) -> None:
    @kernel
    def reuse(b: InOut[i64, n]):
        for i in range(2):
            b[i] = 7
        for i in parallel(n):
            for j in range(2):
                b[i] += j

    b = np.zeros(3, np.int64)
    run(reuse, b)
    np.testing.assert_array_equal(b, [8, 8, 1])


def test_extents_of_arrays_can_be_read(run: Run) -> None:
    @kernel
    def extents(a: In[f32, m, 3], b: Out[i64, 4]):
        b[0] = len(a)
        b[1] = a.shape[-1]
        b[2] = m * 10
        b[3] = a.shape[0] + a.shape[1]

    np.testing.assert_array_equal(run(extents, np.zeros((2, 3), np.float32)), [2, 3, 20, 5])


def test_constant_negative_index_counts_from_the_end(run: Run) -> None:
    @kernel
    def ends(a: In[f32, n], c: In[f32, 4], b: Out[f32, 2]):
        b[-2] = a[-1]
        b[1] = c[-4]

    np.testing.assert_array_equal(run(ends, array(1, 2, 3), array(5, 6, 7, 8)), [3, 5])


@pytest.mark.parametrize(("offset", "index"), [(1, 3), (-1, -1)])
def test_interpreter_names_an_element_outside_of_the_array(offset: int, index: int) -> None:
    @kernel
    def shifted(a: In[f32, n], b: Out[f32, n], by: i64):
        for i in parallel(n):
            b[i] = a[i + by]

    with pytest.raises(IndexError) as caught:
        shifted.python(array(1, 2, 3), np.zeros(3, np.float32), offset)
    assert str(caught.value) == f"a[{index}] is outside of its 3 elements"


# --- control flow ----------------------------------------------------------------------------------------


def test_while_if_break_and_continue(run: Run) -> None:
    @kernel
    def collatz(a: In[i64, n], steps: Out[i32, n]):
        for i in parallel(n):
            if a[i] < 1:
                steps[i] = -1
                continue
            x = a[i]
            count: i32 = 0
            while True:
                if x == 1:
                    break
                if x < 0:
                    x = 0
                elif x % 2 == 0:
                    x //= 2
                else:
                    x = 3 * x + 1
                count += 1
            steps[i] = count

    np.testing.assert_array_equal(run(collatz, array(1, 6, 27, 0, dtype=np.int64)), [0, 8, 111, -1])


def test_range_takes_start_stop_and_step_and_evaluates_them_once(run: Run) -> None:
    @kernel
    def ranges(b: InOut[i64, 4], step: i64):
        stop = 3
        for _ in range(stop):
            stop = 100
            b[0] += 1
        for i in range(2, 5):
            b[1] += i
        for i in range(10, 0, -3):
            b[2] = b[2] * 100 + i
        for _ in range(0, 10, step):
            b[3] += 1

    b = np.zeros(4, np.int64)
    run(ranges, b, 0)
    np.testing.assert_array_equal(b, [3, 9, 10070401, 0])
    b[:] = 0
    run(ranges, b, 4)
    assert b[3] == 3


def test_loop_variable_keeps_its_last_value(run: Run) -> None:
    @kernel
    def last(b: Out[i64, 2]):
        for i in range(7):
            if i == 5:
                break
        b[0] = i
        for j in range(0, 10, 4):  # noqa: B007
            b[1] = 0
        b[1] = j

    np.testing.assert_array_equal(run(last), [5, 8])


def test_early_return_ends_the_kernel(run: Run) -> None:
    @kernel
    def guarded(a: In[f32, n], b: InOut[f32, n]):
        """Leave a short array as it is."""
        if n < 3:
            return
        for i in parallel(n):
            b[i] = a[i]
        return
        b[0] = 99  # never reached

    for size in (2, 3):
        a, b = np.ones(size, np.float32), np.zeros(size, np.float32)
        run(guarded, a, b)
        np.testing.assert_array_equal(b, np.full(size, size == 3))


def test_statements_that_no_path_reaches_are_left_out_of_the_ir() -> None:
    @kernel
    def stops(b: Out[f32, 1]):
        b[0] = 1
        return
        b[0] = 2

    assert [type(statement).__name__ for statement in stops.ir.body] == ["Store", "Return"]


def test_variable_that_every_path_sets_can_be_read(run: Run) -> None:
    @kernel
    def paths(a: In[i64, n], b: Out[i64, n]):
        for i in parallel(n):
            if a[i] == 0:
                x = 1
            elif a[i] == 1:
                x = 2
            else:
                b[i] = -1
                continue
            while True:
                y = x * 10
                if y > 0:
                    break
            b[i] = y

    np.testing.assert_array_equal(run(paths, array(0, 1, 2, dtype=np.int64)), [10, 20, -1])


def test_and_or_and_ternary_evaluate_no_more_than_they_need(run: Run) -> None:
    @kernel
    def guarded(a: In[f32, n], b: Out[f32, n], c: Out[bool_, n]):
        for i in parallel(n):
            b[i] = a[i - 1] if i > 0 else -1
            c[i] = (i > 0 and a[i - 1] > 1) or (i == 0 or not a[i + 100] > 0 if i == 0 else False)

    b, c = run(guarded, array(1, 2, 3))
    np.testing.assert_array_equal(b, [-1, 1, 2])
    np.testing.assert_array_equal(c, [True, False, True])


def test_chained_comparison_short_circuits(run: Run) -> None:
    @kernel
    def between(a: In[i32, n], b: Out[bool_, n]):
        for i in parallel(n):
            b[i] = 0 <= i - 1 < n - 1 > a[i - 1] != 3

    a = array(1, 3, 0, 9, dtype=np.int32)
    np.testing.assert_array_equal(run(between, a), [False, True, False, True])


def test_numbers_are_true_when_they_are_not_zero(run: Run) -> None:
    @kernel
    def truth(a: In[f64, n], b: Out[bool_, n], c: Out[bool_, n], d: Out[i32, n]):
        for i in parallel(n):
            b[i] = not a[i]
            c[i] = bool(a[i] or 0)
            d[i] = 1 if a[i] else 2

    b, c, d = run(truth, array(0.0, -0.0, 0.5, math.nan, dtype=np.float64))
    np.testing.assert_array_equal(b, [True, True, False, False])
    np.testing.assert_array_equal(c, [False, False, True, True])
    np.testing.assert_array_equal(d, [2, 2, 1, 1])


def test_and_and_or_of_numbers_give_one_of_them(run: Run) -> None:
    scale = 0

    def half(x: i32) -> i32:
        return x // 2

    @kernel
    def either(a: In[i32, n], b: Out[i32, n], c: Out[i32, n], d: Out[f64, n], e: Out[i32, n], f: Out[bool_, n]):
        for i in parallel(n):
            b[i] = a[i] or 7
            c[i] = (a[i] and scale) or (a[i] + 1 and 9)
            d[i] = half(a[i]) or (a[i] and 0.5) or scale or 4
            e[i] = (a[i] > 2 and a[i]) + (scale or 10)
            f[i] = True if a[i] and u64(i) else not (a[i] or u64(i))

    given = [0, 1, 2, 5]
    b, c, d, e, f = run(either, array(*given, dtype=np.int32))
    assert list(b) == [a or 7 for a in given]
    assert list(c) == [(a and scale) or (a + 1 and 9) for a in given]
    assert list(d) == [a // 2 or (a and 0.5) or scale or 4 for a in given]
    assert list(e) == [(a > 2 and a) + (scale or 10) for a in given]
    assert list(f) == [True, True, True, True]


def test_tuple_and_chained_assignments(run: Run) -> None:
    @kernel
    def swaps(b: InOut[i64, n]):
        x, y = 1, 2
        x, y = y, x + y
        b[0], b[1] = b[1], b[0]
        b[2] = x * 10 + y
        p = q = x + 1
        x = p = q + p
        b[3] = x * 10 + p + q

    b = array(5, 6, 0, 0, dtype=np.int64)
    run(swaps, b)
    np.testing.assert_array_equal(b, [6, 5, 23, 69])


def test_chained_assignment_computes_its_value_once(run: Run) -> None:
    @kernel
    def chain(b: Out[i64, 2]):
        x = 1
        x = y = x + 1
        b[0] = x
        b[1] = y

    np.testing.assert_array_equal(run(chain), [2, 2])


# --- types and literals ----------------------------------------------------------------------------------


PROMOTIONS = [
    (left, right)
    for left in SCALARS.values()
    for right in SCALARS.values()
    if left.name != "f16" and right.name != "f16" and not (left.kind == right.kind == "bool")
    and {left.kind, right.kind} != {"int", "uint"}
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), PROMOTIONS, ids=lambda type_: str(type_))
def test_two_types_promote_as_in_numpy(left: Any, right: Any) -> None:
    @kernel
    def multiply(a: In[left, 1], b: In[right, 1], c: Out[f64, 1]):
        c[0] = f64(a[0] * b[0])

    value = multiply.ir.body[0].value
    product = value.operand if isinstance(value, ir.Cast) else value
    assert product.type.dtype == np.promote_types(left.dtype, right.dtype)


def test_signed_and_unsigned_promote_to_the_type_that_holds_both(run: Run) -> None:
    @kernel
    def mixed(a: In[u8, 1], b: In[i8, 1], c: Out[i16, 1], d: In[u32, 1], e: Out[i64, 1]):
        c[0] = a[0] - b[0]
        e[0] = d[0] * b[0]

    c, e = run(mixed, array(255, dtype=np.uint8), array(-128, dtype=np.int8), array(2**32 - 1, dtype=np.uint32))
    assert (c[0], e[0]) == (383, -128 * (2**32 - 1))


def test_literals_take_the_type_of_the_other_side(run: Run) -> None:
    @kernel
    def weak(a: In[f32, 1], i: In[u8, 1], b: Out[f32, 3], j: Out[u8, 2]):
        b[0] = 2 * a[0] + 1 / 3
        b[1] = (1.0 if a[0] > 0 else 0) * a[0]
        b[2] = -(1 if a[0] < 0 else 2) + 0.5
        j[0] = i[0] + 250
        j[1] = SCALE * i[0] << 1

    b, j = run(weak, array(0.1), array(9, dtype=np.uint8))
    tenth = np.float32(0.1)
    np.testing.assert_array_equal(b, array(2 * tenth + np.float32(1 / 3), tenth, -1.5))
    np.testing.assert_array_equal(j, [3, 54])


def test_float_literal_with_an_integer_makes_f64(run: Run) -> None:
    @kernel
    def halve(a: In[i32, 1], b: Out[f64, 1]):
        b[0] = a[0] * 0.5 + a[0] / 4.0

    assert run(halve, array(3, dtype=np.int32))[0] == 2.25


def test_literals_alone_are_computed_with_pythons_rules(run: Run) -> None:
    @kernel
    def folded(b: Out[f32, 4]):
        b[0] = 1 / 3
        b[1] = 7 // 2 + 2**-1 + (-7) % 3
        b[2] = math.sqrt(2) * math.pi
        b[3] = min(1, 2.5) if 1 < 2 < 3 and not False else 0

    np.testing.assert_array_equal(run(folded), array(1 / 3, 5.5, math.sqrt(2) * math.pi, 1))


def test_local_takes_the_type_of_its_first_value(run: Run) -> None:
    @kernel
    def first(a: In[f32, n], b: Out[f64, 1]):
        count = 0
        ratio = 0.0
        flag = True
        exact = a[0]
        small: u8 = 200
        count += 1
        ratio += a[0]
        flag = flag and a[0] > 0
        exact *= 2
        b[0] = count + ratio + exact + small + (1 if flag else 0)

    assert first.ir.locals == {"count": i64, "ratio": f64, "flag": bool_, "exact": f32, "small": u8}
    assert run(first, array(2, 3))[0] == 1 + 2 + 4 + 200 + 1


def test_stores_widen_without_a_cast(run: Run) -> None:
    @kernel
    def widen(a: In[i16, 1], c: In[bool_, 1], b: Out[f32, 1], d: Out[i64, 2], e: Out[f64, 1]):
        b[0] = a[0]
        d[0] = a[0]
        d[1] = c[0]
        e[0] = d[0]

    b, d, e = run(widen, array(-5, dtype=np.int16), array(True, dtype=bool))
    assert (b[0], d[0], d[1], e[0]) == (-5, -5, 1, -5)


def test_values_from_outside_of_the_kernel(run: Run) -> None:
    local = 10
    settings = np.int16(3)

    @kernel
    def outside(a: In[f32, 1], b: Out[f32, 5], c: Out[i64, 2]):
        b[0] = a[0] * SCALE
        b[1] = a[0] * GAIN + np.pi
        b[2] = a[0] * TYPED
        b[3] = local if ENABLED else a[0]
        b[4] = math.inf
        c[0] = Mode.FAST
        c[1] = settings

    b, c = run(outside, array(2))
    np.testing.assert_array_equal(b, array(6, 1 + np.float32(np.pi), 0.5, 10, math.inf))
    np.testing.assert_array_equal(c, [7, 3])


def test_numpy_scalar_from_outside_is_typed() -> None:
    wide = np.float64(2)

    @kernel
    def typed(a: In[f32, 1], b: Out[f64, 1]):
        b[0] = a[0] * wide

    assert typed.ir.body[0].value.type == f64


def test_casts(run: Run) -> None:
    @kernel
    def casts(a: In[f64, n], b: Out[i32, n], c: Out[u8, n], d: Out[i64, n], e: Out[bool_, n], g: Out[f32, n]):
        for i in parallel(n):
            b[i] = i32(a[i])
            c[i] = u8(i32(a[i]))
            d[i] = int(a[i])
            e[i] = bool(a[i])
            g[i] = np.float32(float(b[i]))

    a = array(1.9, -1.9, 1e300, -1e300, math.nan, 0.0, dtype=np.float64)
    b, c, d, e, g = run(casts, a)
    np.testing.assert_array_equal(b, [1, -1, 2**31 - 1, -(2**31), 0, 0])
    np.testing.assert_array_equal(c, [1, 255, 255, 0, 0, 0])
    np.testing.assert_array_equal(d, [1, -1, 2**63 - 1, -(2**63), 0, 0])
    np.testing.assert_array_equal(e, [True, True, True, True, True, False])
    np.testing.assert_array_equal(g, b.astype(np.float32))


def test_casts_of_literals_wrap_and_saturate(run: Run) -> None:
    @kernel
    def casts(b: Out[u32, 3], c: Out[i8, 2], d: Out[u64, 1]):
        b[0] = u32(-1)
        b[1] = u32(1e20)
        b[2] = u32(2.9)
        c[0] = i8(300)
        c[1] = i8(math.nan)
        d[0] = u64(2**64 - 1)

    b, c, d = run(casts)
    np.testing.assert_array_equal(b, [2**32 - 1, 2**32 - 1, 2])
    np.testing.assert_array_equal(c, [44, 0])
    assert d[0] == 2**64 - 1


def test_scalar_parameters(run: Run) -> None:
    @kernel
    def saxpy(alpha: f32, x: In[f32, n], y: InOut[f32, n], shift: i64, on: bool_):
        for i in parallel(n):
            if on:
                y[i] = alpha * x[i] + y[i] + f32(shift)

    x, y = array(1, 2), array(10, 20)
    run(saxpy, 2, x, y, shift=1, on=True)
    np.testing.assert_array_equal(y, [13, 25])


def test_bool_is_a_type_like_any_other(run: Run) -> None:
    def either(x: bool_, y: bool_) -> bool_:
        if x:
            return True
        return y

    @kernel
    def truths(a: In[bool_, n], on: bool_, b: InOut[bool_, n, 8], c: Out[i32, n]):
        for i in parallel(n):
            seen = private(bool_, 2)
            seen[1] = a[i]
            flag: bool_ = not a[i] ^ on
            flag |= seen[0]
            b[i, 0] = flag
            b[i, 1] = ~a[i] & on
            b[i, 2] = a[i] == on != (i < 1)
            b[i, 3] = either(seen[1], i > 1)
            b[i, 4] = a[i] if on else not on
            b[i, 5] = bool_(c[i]) if i < 0 else bool_(i) and on
            while flag:
                flag = False
            b[i, 6] = flag or b[i, 7]
            c[i] = i32(a[i]) + i32(on) * 2 + (1 if b[i, 7] else 0)

    a, b, c = array(True, False, True, dtype=bool), np.ones((3, 8), bool), np.zeros(3, np.int32)
    run(truths, a, True, b, c)
    i = np.arange(3)
    yes = np.ones(3, bool)
    expected = [a, ~a, a & (i >= 1), a | (i > 1), a, i > 0, yes, yes]
    np.testing.assert_array_equal(b, np.stack(expected, 1))
    np.testing.assert_array_equal(c, a + 2 + 1)


# --- arithmetic ------------------------------------------------------------------------------------------


def test_integer_arithmetic_wraps_and_floors(run: Run) -> None:
    @kernel
    def ops(a: In[i32, n], b: In[i32, n], c: Out[i32, n, 8]):
        for i in parallel(n):
            c[i, 0] = a[i] + b[i]
            c[i, 1] = a[i] * b[i]
            c[i, 2] = a[i] // b[i]
            c[i, 3] = a[i] % b[i]
            c[i, 4] = a[i] << b[i]
            c[i, 5] = a[i] >> b[i]
            c[i, 6] = (a[i] & b[i]) | (a[i] ^ ~b[i])
            c[i, 7] = -a[i] + abs(a[i])

    low = -(2**31)
    a = array(7, -7, 7, low, low, 5, 2**31 - 1, dtype=np.int32)
    b = array(2, 2, -2, -1, 2, 0, 40, dtype=np.int32)
    with np.errstate(all="ignore"):
        expected = np.stack(
            [a + b, a * b, a // b, a % b, a << b, a >> b, (a & b) | (a ^ ~b), -a + abs(a)], axis=1
        )  # fmt: skip
    result = run(ops, a, b)
    np.testing.assert_array_equal(result, expected)
    assert result[3, 2] == low
    assert result[5, 2] == result[5, 3] == 0
    assert result[6, 4] == 0


def test_float_floor_division_and_remainder_are_numpys(run: Run) -> None:
    @kernel
    def ops(a: In[f64, n], b: In[f64, n], c: Out[f64, n, 2]):
        for i in parallel(n):
            c[i, 0] = a[i] // b[i]
            c[i, 1] = a[i] % b[i]

    values = [0.0, -0.0, 1.0, -1.0, 0.1, 3.7, -3.7, 1e300, math.inf, -math.inf, math.nan]
    a, b = (side.ravel() for side in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        expected = np.stack([a // b, a % b], axis=1)
    result = run(ops, a, b)
    np.testing.assert_array_equal(result, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(expected[number]))


def test_power(run: Run) -> None:
    @kernel
    def powers(a: In[f32, n], i: In[i64, n], b: Out[f32, n, 4], c: Out[i64, n, 2]):
        for x in parallel(n):
            b[x, 0] = a[x] ** 2
            b[x, 1] = a[x] ** 0.5
            b[x, 2] = pow(a[x], a[x])
            b[x, 3] = np.power(a[x], -1)
            c[x, 0] = i[x] ** 5
            c[x, 1] = i[x] ** 0

    a, i = array(1.5, 4, 0.25), array(-3, 2**40, 0, dtype=np.int64)
    b, c = run(powers, a, i)
    np.testing.assert_allclose(b, np.stack([a * a, np.sqrt(a), a**a, 1 / a], axis=1), rtol=3e-7)
    np.testing.assert_array_equal(c, np.stack([i**5, np.ones(3, np.int64)], axis=1))


def test_power_multiplies_from_the_lowest_bit_of_the_exponent(run: Run) -> None:
    @kernel
    def seventh(a: In[f32, 1], b: Out[f32, 1]):
        b[0] = a[0] ** 7

    x = np.float32(1.1)
    assert run(seventh, array(x))[0] == (x * (x * x)) * ((x * x) * (x * x))


def test_math_table_in_every_spelling(run: Run) -> None:
    @kernel
    def spelled(a: In[f64, n], b: Out[f64, n, 9]):
        for i in parallel(n):
            b[i, 0] = math.exp(a[i])
            b[i, 1] = np.arcsin(a[i])
            b[i, 2] = natural_exp(a[i])
            b[i, 3] = xd.sqrt(a[i])
            b[i, 4] = fma(a[i], a[i], 1)
            b[i, 5] = np.maximum(a[i], 0.3) + max(a[i], 0.1, 0.4)
            b[i, 6] = round(a[i] * 10) + np.rint(2.5) + math.floor(a[i])
            b[i, 7] = np.absolute(a[i]) + math.fabs(a[i]) + abs(a[i])
            b[i, 8] = 1 if math.isnan(a[i]) or np.isinf(a[i]) else 0

    a = array(0.25, 0.5, 0.0, dtype=np.float64)
    expected = [
        np.exp(a), np.arcsin(a), np.exp(a), np.sqrt(a), a * a + 1, np.maximum(a, 0.3) + np.maximum(a, 0.4),
        np.rint(a * 10) + 2, 3 * a, np.zeros(3),
    ]  # fmt: skip
    np.testing.assert_allclose(run(spelled, a), np.stack(expected, axis=1), rtol=1e-15)


def test_math_on_integers_is_in_f64_and_rounding_leaves_them(run: Run) -> None:
    @kernel
    def mixed(a: In[i32, 1], b: Out[f64, 1], c: Out[i32, 1]):
        b[0] = math.sqrt(a[0])
        c[0] = math.floor(a[0]) + round(a[0]) + abs(a[0])

    b, c = run(mixed, array(5, dtype=np.int32))
    assert b[0] == math.sqrt(5)
    assert c[0] == 15


def test_math_in_f32_stays_f32() -> None:
    @kernel
    def single(a: In[f32, 1], b: Out[f32, 1]):
        b[0] = math.hypot(a[0], 1.0) * math.sqrt(2.0)

    assert single.ir.body[0].value.type == f32


def test_minimum_and_maximum_propagate_nan_and_order_zeros(run: Run) -> None:
    @kernel
    def extrema(a: In[f32, n], b: In[f32, n], low: Out[f32, n], high: Out[f32, n]):
        for i in parallel(n):
            low[i] = min(a[i], b[i])
            high[i] = max(a[i], b[i])

    low, high = run(extrema, array(0.0, -0.0, math.nan, 1, 1), array(-0.0, 0.0, 1, math.nan, 2))
    np.testing.assert_array_equal(low, [0, 0, math.nan, math.nan, 1])
    np.testing.assert_array_equal(high, [0, 0, math.nan, math.nan, 2])
    np.testing.assert_array_equal(np.signbit(low[:2]), [True, True])
    np.testing.assert_array_equal(np.signbit(high[:2]), [False, False])


def test_bitwise_operators_on_bools_are_logical(run: Run) -> None:
    @kernel
    def logic(a: In[bool_, n], b: In[bool_, n], c: Out[bool_, n, 4]):
        for i in parallel(n):
            c[i, 0] = a[i] & b[i]
            c[i, 1] = a[i] | b[i]
            c[i, 2] = a[i] ^ True
            c[i, 3] = ~a[i]

    a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    np.testing.assert_array_equal(run(logic, a, b), np.stack([a & b, a | b, ~a, ~a], axis=1))


def test_infinity_and_nan_are_literals() -> None:
    @kernel
    def special(a: In[f32, n], b: Out[f32, 3]):
        best = -float("inf")
        for i in range(n):
            best = max(best, a[i])
        b[0] = f32(best)
        b[1] = float("nan")
        b[2] = a[0] * float(2) + int(1.9)

    np.testing.assert_array_equal(special.python(array(3, 5)), array(5, math.nan, 7))


def test_names_need_not_be_ascii(run: Run) -> None:
    @kernel
    def size(α: f32, ß: In[f32, n], é: Out[f32, n]):
        for î in parallel(n):
            ü = ß[î] * α
            é[î] = ü

    np.testing.assert_array_equal(run(size, 3, array(1, 2)), [3, 6])


def test_extent_may_be_any_constant_expression(run: Run) -> None:
    @kernel
    def fill(b: InOut[i32, n]):
        for i in parallel(1 << SCALE - 1, block=SCALE * 2):
            b[i] = 1

    b = np.zeros(5, np.int32)
    run(fill, b)
    np.testing.assert_array_equal(b, [1, 1, 1, 1, 0])


def test_dims_and_arrays_of_no_elements(run: Run) -> None:
    assert run(add_one, array()).shape == (0,)


def test_carried_local_is_read_in_parallel_loops(run: Run) -> None:
    @kernel
    def normalise(a: In[f64, n], b: Out[f64, n], c: Out[f64, n]):
        total = 0.0
        for i in range(n):
            total += a[i]
        for i in parallel(n):
            b[i] = a[i] / total
        total *= 2
        for i in parallel(n):
            c[i] = a[i] / total

    b, c = run(normalise, array(1, 3, dtype=np.float64))
    np.testing.assert_array_equal(b, [0.25, 0.75])
    np.testing.assert_array_equal(c, [0.125, 0.375])


def test_long_chain_of_elif() -> None:
    lines = ["if a[0] == 0:", "    b[0] = 0"]
    for case in range(1, 150):
        lines += [f"elif a[0] == {case}:", f"    b[0] = {case * case}"]
    lines += ["else:", "    b[0] = -1"]
    body = "".join(f"    {line}\n" for line in lines)
    source = f"@kernel\ndef chain(a: In[i64, 1], b: Out[i64, 1]):\n{body}"
    linecache.cache["<chain>"] = (len(source), None, source.splitlines(keepends=True), "<chain>")
    names = dict(globals())
    exec(compile(source, "<chain>", "exec"), names)
    assert names["chain"].python(array(149, dtype=np.int64))[0] == 149 * 149


# --- the kernel as an object -----------------------------------------------------------------------------


def test_kernel_tells_its_name_signature_and_place() -> None:
    assert add_one.name == add_one.__name__ == "add_one"
    assert str(add_one.signature) == "add_one(a: In[f32, n], b: Out[f32, n])"
    assert repr(add_one).startswith(f"<kernel add_one at {__file__}:")
    assert isinstance(add_one, KernelSource)
    assert add_one.ir is add_one.ir


@pytest.mark.parametrize(
    ("fast", "words"),
    [
        (False, set()),
        (True, {"contract", "reassoc"}),
        ("contract", {"contract"}),
        ("full", {"full"}),
        (("contract", "reassoc"), {"contract", "reassoc"}),
    ],
)
def test_fast_is_kept_in_the_ir(fast: Any, words: set[str]) -> None:
    @kernel(fast=fast)
    def copy(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = a[i]

    assert copy.ir.fast == words
