"""Helper functions: what a call of a plain Python function means in a kernel, in every way that a kernel runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import atomic_add
from pytest_xdevice import barrier
from pytest_xdevice import bool_
from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import private
from pytest_xdevice import shared
from pytest_xdevice import u8
from pytest_xdevice.kernel import ir
from pytest_xdevice.kernel.passes.legalise import legalise
from tests.kernel.ways import Run
from tests.kernel.ways import WAYS

n = dim("n")
m = dim("m")
rows = dim("rows")
columns = dim("columns")

OFFSET = 3


@pytest.fixture(params=WAYS)
def run(request: pytest.FixtureRequest) -> Run:
    """Return a function that runs a kernel in one of the ways: ``run(kernel, *arguments)``."""
    return WAYS[request.param]


def array(*values: Any, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.array(values, dtype)


def clamp(x: f32, lo: f32, hi: f32) -> f32:
    """Docstrings and annotations are a helper's own."""
    return min(max(x, lo), hi)


def limited(x, lo=0, hi=1):  # generic: each parameter takes what it is given
    if x < lo:
        return lo
    if x > hi:
        return hi
    return x


def at(a: In[f32, rows, columns], i: i64, j: i64) -> f32:
    if i < 0 or i >= rows or j < 0 or j >= columns:
        return 0
    return a[i, j]


# --- values ----------------------------------------------------------------------------------------------


def test_typed_helper(run: Run) -> None:
    @kernel
    def clamped(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = clamp(a[i], 0, 1) * 2

    np.testing.assert_array_equal(run(clamped, array(-1, 0.25, 7)), [0, 0.5, 2])


def test_untyped_helper_takes_the_types_of_its_arguments(run: Run) -> None:
    @kernel
    def both(a: In[f32, n], k: In[i32, n], b: Out[f32, n], c: Out[i32, n]):
        for i in parallel(n):
            b[i] = limited(a[i], hi=1.5)
            c[i] = limited(k[i], -1)

    b, c = run(both, array(-1, 0.25, 7), array(-5, 0, 5, dtype=np.int32))
    np.testing.assert_array_equal(b, [0, 0.25, 1.5])
    np.testing.assert_array_equal(c, [-1, 0, 1])


def test_dims_of_a_helper_are_the_extents_of_its_arguments(run: Run) -> None:
    @kernel
    def blur(a: In[f32, m, n], b: Out[f32, m, n]):
        for i, j in parallel(m, n):
            b[i, j] = at(a, i - 1, j) + at(a, i + 1, j) + at(a, i, j - 1) + at(a, i, j + 1)

    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    padded = np.pad(a, 1)
    expected = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    np.testing.assert_array_equal(run(blur, a), expected)


def test_extents_of_arguments_may_be_constants_and_differ_between_calls(run: Run) -> None:
    def size(a: In[f32, rows, columns]) -> i64:
        return rows * 100 + columns * 10 + a.shape[-1] + len(a)

    @kernel
    def sizes(a: In[f32, m, 3], b: In[f32, 2, m], c: Out[i64, 2]):
        c[0] = size(a)
        c[1] = size(b)

    result = run(sizes, np.zeros((5, 3), np.float32), np.zeros((2, 5), np.float32))
    np.testing.assert_array_equal(result, [500 + 30 + 3 + 5, 200 + 50 + 5 + 2])


def test_scalar_parameters_may_be_assigned_and_stay_the_helpers_own(run: Run) -> None:
    def gcd(x: i64, y: i64) -> i64:
        while y != 0:
            x, y = y, x % y
        return x

    @kernel
    def divisors(a: In[i64, n], b: Out[i64, n]):
        for i in parallel(n):
            x = a[i]
            y = gcd(x, 12) * 100
            b[i] = y + x

    np.testing.assert_array_equal(run(divisors, array(8, 9, 7, dtype=np.int64)), [408, 309, 107])


def test_parameters_widen_and_literals_become_their_types(run: Run) -> None:
    def half(x: f64, on: bool_, k: u8) -> f64:
        return x / k if on else x

    @kernel
    def halves(a: In[f32, n], b: Out[f64, n]):
        for i in parallel(n):
            b[i] = half(a[i], a[i] > 1, 2)

    np.testing.assert_array_equal(run(halves, array(1, 3)), [1, 1.5])


def test_returned_type_is_what_all_returns_promote_to() -> None:
    def pick(x, y):
        if x > y:
            return x
        if x == 0:
            return 0
        return y

    @kernel
    def picks(a: In[f32, 1], k: In[i32, 1], b: Out[f64, 1]):
        b[0] = pick(a[0], k[0])

    assert picks.ir.body[0].value.type == f64


def test_helper_of_literals_alone_gives_a_literal(run: Run) -> None:
    def taps() -> Any:
        return 2 + OFFSET

    taps.__annotations__.clear()

    def centre(count):
        return count // 2

    @kernel
    def constants(a: In[u8, 1], b: Out[u8, 1], c: In[f32, 8], d: Out[f32, 1]):
        b[0] = a[0] + taps()
        d[0] = c[centre(taps())] + c[-taps()]

    b, d = run(constants, array(9, dtype=np.uint8), array(*range(8)))
    assert (b[0], d[0]) == (14, 2 + 3)


def test_constant_stays_one_in_a_typed_parameter(run: Run) -> None:
    last = np.int64(-1)

    def element(a: In[f32, n], i: i64, power: u8) -> f32:
        return a[i] ** power

    def any_element(a, i):
        return a[i]

    @kernel
    def ends(a: In[f32, n], b: Out[f32, 2]):
        b[0] = element(a, -2, 2)
        b[1] = any_element(a, last)

    np.testing.assert_array_equal(run(ends, array(1, 3, 5)), [9, 5])


def test_types_functions_and_tuples_can_be_given_to_untyped_parameters(run: Run) -> None:
    def apply(f, x, T=i32):
        return T(f(x))

    def square(x):
        return x * x

    @kernel
    def applied(a: In[f32, n], b: Out[i32, n], c: Out[f16, n]):
        for i in parallel(n):
            b[i] = apply(square, a[i])
            c[i] = f16(apply(math.sqrt, a[i], f64))

    b, c = run(applied, array(4, 9))
    np.testing.assert_array_equal(b, [16, 81])
    np.testing.assert_array_equal(c, [2, 3])


def test_helpers_call_helpers_and_each_call_has_its_own_locals(run: Run) -> None:
    def inner(x: f32) -> f32:
        t = x * 2
        return t + 1

    def outer(x: f32, y: f32) -> f32:
        t = inner(x) + inner(y)
        return t * inner(t)

    @kernel
    def nested(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            t = a[i]
            b[i] = outer(t, inner(t)) + t

    a = array(1, 2)
    t = (2 * a + 1) + (2 * (2 * a + 1) + 1)
    np.testing.assert_array_equal(run(nested, a), t * (2 * t + 1) + a)


def test_arguments_are_evaluated_in_the_order_of_the_text(run: Run) -> None:
    def minus(x, y):
        return x - y

    def counted(c) -> i64:
        c[0] += 1
        return c[0]

    @kernel
    def order(c: InOut[i64, 1], b: Out[i64, 3]):
        b[0] = minus(y=counted(c), x=counted(c))
        b[1] = c[0] * 100 + counted(c) * 10 + c[0]
        b[counted(c) - 3] = counted(c)

    np.testing.assert_array_equal(run(order, np.zeros(1, np.int64)), [1, 233, 4])


def test_arrays_that_a_kernel_makes_can_be_given_to_helpers_and_made_in_them(run: Run) -> None:
    def push(queue, x):
        for i in range(len(queue) - 1, 0, -1):
            queue[i] = queue[i - 1]
        queue[0] = x

    def total(values: In[f32, m]) -> f32:
        kept = private(f32, 2)
        for i in range(m):
            kept[i % 2] += values[i]
        return kept[0] * 100 + kept[1]

    @kernel
    def sums(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            window = private(f32, 3)
            for j in range(i + 1):
                push(window, a[j])
            b[i] = total(window)

    np.testing.assert_array_equal(run(sums, array(1, 2, 4, 8)), [100, 201, 402 + 100, 804 + 200])


def test_shared_array_can_be_given_to_helpers(run: Run) -> None:
    def load(tile, a, i, t):
        tile[t] = a[i]

    def neighbours(tile: In[f32, m], t: i64) -> f32:
        left = tile[t - 1] if t > 0 else 0
        return left + (tile[t + 1] if t + 1 < m else 0)

    @kernel
    def sums(a: In[f32, 8], b: Out[f32, 8]):
        for i in parallel(8, block=4):
            tile = shared(f32, 4)
            load(tile, a, i, i % 4)
            barrier()
            b[i] = neighbours(tile, i % 4)

    np.testing.assert_array_equal(run(sums, array(*range(1, 9))), [2, 4, 6, 3, 6, 12, 14, 7])


def test_helpers_make_and_feed_atomic_operations(run: Run) -> None:
    def count(counts, k) -> i32:
        old = atomic_add(counts[k], 1)
        return old  # noqa: RET504

    def bump(counts) -> i32:
        counts[0] += 10
        return 1

    @kernel
    def histogram(a: In[i32, n], counts: InOut[i32, 4], b: InOut[i32, 2]):
        for i in parallel(n):
            old = count(counts, a[i] % 3)
            if old < 0:
                counts[3] = -1
        b[1] = count(b, 1) + 5
        atomic_add(b[0], bump(b))

    a, counts, b = np.arange(10, dtype=np.int32), np.zeros(4, np.int32), np.array([100, 7], np.int32)
    run(histogram, a, counts, b)
    np.testing.assert_array_equal(counts, [4, 3, 3, 0])
    np.testing.assert_array_equal(b, [111, 12])


# --- where a helper comes from ---------------------------------------------------------------------------


class Tools:
    FACTOR = 3

    @staticmethod
    def scaled(x: f32) -> f32:
        return x * Tools.FACTOR


def test_static_method_closure_and_alias(run: Run) -> None:
    gain = 5

    def amplified(x):
        return x * gain

    short = amplified

    @kernel
    def scaled(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = Tools.scaled(a[i]) + short(a[i])

    np.testing.assert_array_equal(run(scaled, array(1, 2)), [8, 16])


square, cube = lambda x: x * x, lambda x: x * x * x


def test_lambdas_with_a_name(run: Run) -> None:
    halved = lambda x, by=2: (  # noqa: E731
        x / by
    )

    @kernel
    def mixed(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = cube(halved(a[i])) + square(halved(a[i], by=1))

    np.testing.assert_array_equal(run(mixed, array(2, 4)), [1 + 4, 8 + 16])


def test_factory_makes_helpers_of_a_type(run: Run) -> None:
    def make(T: Any) -> Any:
        def twice(x: T) -> T:
            return x + x

        @kernel
        def doubled(a: In[T, n], b: Out[T, n]):
            for i in parallel(n):
                b[i] = twice(a[i])

        return doubled

    for type_ in (f32, f64, i32, u8):
        a = array(3, 100, dtype=type_.dtype)
        np.testing.assert_array_equal(run(make(type_), a), a + a)


def test_names_of_helpers_are_looked_up_where_they_are_defined(run: Run) -> None:
    from tests.kernel import other_module

    @kernel
    def shifted(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = other_module.shifted(a[i]) + OFFSET

    np.testing.assert_array_equal(run(shifted, array(1)), [1 + other_module.OFFSET + 3])


# --- control flow ----------------------------------------------------------------------------------------


def test_early_returns_from_branches(run: Run) -> None:
    def kind(x: i64) -> i64:
        if x < 0:
            if x < -10:
                return -2
            x = x * 10
        elif x > 10:
            return 2
        else:
            if x == 5:
                return 55
            if x == 6:
                x = 66
            if x == 7:
                return 77
        x += 1
        if x == 4:
            return 44
        return x

    @kernel
    def kinds(a: In[i64, n], b: Out[i64, n]):
        for i in parallel(n):
            b[i] = kind(a[i])

    a = np.arange(-13, 14)
    np.testing.assert_array_equal(run(kinds, a), [kind(int(x)) for x in a])


def test_early_returns_from_loops(run: Run) -> None:
    def found(a, wanted) -> i64:
        for i in range(len(a)):
            if a[i] < 0:
                continue
            j = 0
            while True:
                if a[i] + j == wanted:
                    return i * 10 + j
                j += 1
                if j > i:
                    break
                if a[i] == 100:
                    return -3
            if a[i] == 99:
                break
        else_value = -2
        for i in range(2):
            if a[i] == wanted + 1:
                return i
            else_value = else_value - 1
        return else_value

    @kernel
    def search(a: In[i64, n], b: Out[i64, m], wanted: In[i64, m]):
        for k in parallel(m):
            b[k] = found(a, wanted[k])

    a, wanted = np.array([4, -1, 6, 5, 100, 9, 99, 50]), np.arange(-2, 120)
    np.testing.assert_array_equal(run(search, a, wanted=wanted), [found(a, x) for x in wanted])


def test_helper_is_not_evaluated_where_python_would_not(run: Run) -> None:
    def element(a, i):
        return a[i]

    def noted(c, i) -> bool_:
        c[i] += 1
        return True

    @kernel
    def lazy(a: In[f32, n], b: Out[bool_, n], t: Out[f32, n], c: InOut[i32, 3]):
        for i in parallel(n):
            b[i] = (i > 0 and element(a, i - 1) > 1) or (i > 100 and element(a, i + 100) > 0)
            t[i] = element(a, i - 1) if i > 0 else -1
        x = n > 1000 and noted(c, 0)
        x = (noted(c, 1) if n > 0 else noted(c, 2)) or noted(c, 2) or x
        while x and not noted(c, 2):
            c[0] = 9

    c = np.zeros(3, np.int32)
    b, t = run(lazy, array(1, 2, 3), c=c)
    np.testing.assert_array_equal(b, [False, False, True])
    np.testing.assert_array_equal(t, [-1, 1, 2])
    np.testing.assert_array_equal(c, [0, 1, 1])


def test_operand_between_two_comparisons_is_evaluated_once(run: Run) -> None:
    def counted(c: InOut[i64, 1]) -> i64:
        c[0] += 1
        return c[0]

    @kernel
    def chain(c: InOut[i64, 1], b: Out[bool_, 4]):
        b[0] = 0 < counted(c) < 2
        b[1] = 5 < counted(c) < counted(c)
        b[2] = 1 < counted(c) < counted(c) + 1 < 9
        b[3] = counted(c) != c[0] + 0 != 1 < 0

    c = np.zeros(1, np.int64)
    np.testing.assert_array_equal(run(chain, c), [True, False, True, False])
    assert c[0] == 5


def test_target_of_an_augmented_assignment_is_evaluated_once(run: Run) -> None:
    def following(c: InOut[i64, 3]) -> i64:
        c[0] += 1
        return c[0]

    @kernel
    def augment(c: InOut[i64, 3]):
        c[following(c)] += 10 * following(c)

    c = np.zeros(3, np.int64)
    run(augment, c)
    np.testing.assert_array_equal(c, [2, 20, 0])


def test_helper_without_a_value_is_a_statement(run: Run) -> None:
    def fill(a: Out[f32, n], i: i64, value: f32) -> None:
        if i == 1:
            return
        a[i] = value

    def push(a, value):
        a[0] = value
        return value

    @kernel
    def filled(a: InOut[f32, n], b: InOut[f32, n]):
        for i in parallel(n):
            fill(a, i, 7)
        push(b, 3.5)

    a, b = np.zeros(3, np.float32), np.zeros(3, np.float32)
    run(filled, a, b)
    np.testing.assert_array_equal(a, [7, 0, 7])
    np.testing.assert_array_equal(b, [3.5, 0, 0])


def test_loop_bounds_and_conditions_may_call_helpers(run: Run) -> None:
    def last(k):
        return k + 2

    def below(x, y):
        return x < y

    @kernel
    def loops(b: InOut[i64, 3]):
        for i in range(last(1), last(4), last(-1)):
            b[0] = b[0] * 10 + i
        while below(b[1], 5):
            b[1] += 1
        if below(b[1], 5):
            b[2] = 1

    b = np.zeros(3, np.int64)
    run(loops, b)
    np.testing.assert_array_equal(b, [345, 5, 0])


def test_guard_that_calls_a_helper_keeps_its_meaning(run: Run) -> None:
    def counted(c, i) -> bool_:
        c[i] += 1
        return c[i] < 100

    def inside(i, size):
        return i > 0 and i < size - 1

    @kernel
    def guarded(a: In[f32, n], b: InOut[f32, n], c: InOut[i32, n]):
        for i in parallel(n):
            if inside(i, n):
                b[i] = a[i - 1] + a[i + 1]
        for i in parallel(n):
            if counted(c, i) and i > 1:
                b[i] += 1

    b, c = np.zeros(4, np.float32), np.zeros(4, np.int32)
    run(guarded, array(1, 2, 3, 4), b, c)
    np.testing.assert_array_equal(b, [0, 4, 7, 1])
    np.testing.assert_array_equal(c, [1, 1, 1, 1])


def test_local_of_a_sequential_helper_call_reaches_later_loops(run: Run) -> None:
    def total(a) -> f64:
        result = 0.0
        for i in range(len(a)):
            result += a[i]
        return result

    @kernel
    def normalise(a: In[f32, n], b: Out[f64, n]):
        scale = total(a)
        half = min(scale, 2.0) / 2
        for i in parallel(n):
            b[i] = a[i] / scale + half

    np.testing.assert_array_equal(run(normalise, array(1, 3)), [1.25, 1.75])


def test_return_in_a_helper_does_not_end_the_kernel(run: Run) -> None:
    def early(x: i64) -> i64:
        if x > 0:
            return 1
        return 2

    @kernel
    def goes_on(b: Out[i64, n]):
        x = early(n)
        for i in parallel(n):
            b[i] = x

    b = np.zeros(2, np.int64)
    run(goes_on, b)
    np.testing.assert_array_equal(b, [1, 1])


def test_calls_nest_deep(run: Run) -> None:
    names: dict[str, Any] = {}
    lines = ["def f0(x):", "    if x > 100:", "        return x", "    return x + 1", ""]
    for depth in range(1, 30):
        lines += [f"def f{depth}(x):", f"    y = f{depth - 1}(x)", "    return y + 1 if x < 100 else y", ""]
    define_in_linecache("\n".join(lines), names)
    deepest = names["f29"]

    @kernel
    def deep(b: InOut[i64, n]):
        for i in parallel(n):
            b[i] = deepest(b[i])

    b = np.array([0, 1000])
    run(deep, b)
    np.testing.assert_array_equal(b, [30, 1000])


def test_many_early_returns(run: Run) -> None:
    lines = ["def chain(a, x):"]
    for case in range(150):
        lines += [f"    if x == {case}:", f"        return {case * case}"]
    lines += ["    for i in range(3):", "        if a[i] == x:", "            return -i", "    return 7"]
    names: dict[str, Any] = {}
    define_in_linecache("\n".join(lines), names)
    chain = names["chain"]

    @kernel
    def chained(a: In[i64, n], b: Out[i64, n]):
        for i in parallel(n):
            b[i] = chain(a, a[i])

    a = array(0, 3, 1000, 149, 2000, dtype=np.int64)
    np.testing.assert_array_equal(run(chained, a), [chain(a, x) for x in a])


def define_in_linecache(source: str, names: dict[str, Any]) -> None:
    import linecache

    linecache.cache["<helpers>"] = (len(source), None, source.splitlines(keepends=True), "<helpers>")
    exec(compile(source, "<helpers>", "exec", dont_inherit=True), names)


# --- the IR ----------------------------------------------------------------------------------------------


def test_straight_helper_makes_no_branch() -> None:
    @kernel
    def limits(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            x = a[i]
            b[i] = clamp(x, 0, 1) if x != 5 else 0.5

    (loop,) = legalise(limits.ir).body
    assert isinstance(loop, ir.Parallel)
    assert not any(isinstance(statement, ir.If) for statement in loop.body)


def test_kernel_without_calls_keeps_its_own_form() -> None:
    @kernel
    def early(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = limited(a[i])

    (loop,) = legalise(early.ir).body
    assert isinstance(loop, ir.Parallel)
    assert not any(isinstance(statement, ir.While) for statement in loop.body)
    assert [type(statement) for statement in loop.body] == [ir.Assign, ir.If, ir.Store]
