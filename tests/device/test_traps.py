"""Where hardware and OpenCL differ, the language does not: a test for each such place, with its results written out."""

from __future__ import annotations

import keyword
import linecache
from typing import Any

import numpy as np
import pytest

import pytest_xdevice as xd
from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i8
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import isnan
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import u8
from pytest_xdevice import u32
from pytest_xdevice import u64
from pytest_xdevice.remote import Device

m, n = dim("m"), dim("n")
pytestmark = [pytest.mark.cpu, pytest.mark.opencl]
SIGNED = [i8, i32, i64]
NAN, INF = np.nan, np.inf


def of(element: Any, *values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    return np.array(values, element.dtype)


@pytest.mark.parametrize("element", [*SIGNED, u8, u32, u64], ids=repr)
def test_division_by_zero_gives_zero(xdevice: Device, element: Any) -> None:
    @kernel
    def divide(a: In[element, n], b: In[element, n], quotient: Out[element, n], rest: Out[element, n]) -> None:
        for i in parallel(n):
            quotient[i] = a[i] // b[i]
            rest[i] = a[i] % b[i]

    quotient, rest = xdevice.run(divide, of(element, 7, 0, 7), of(element, 0, 0, 2))
    np.testing.assert_array_equal(quotient, [0, 0, 3])
    np.testing.assert_array_equal(rest, [0, 0, 1])


@pytest.mark.parametrize("element", SIGNED, ids=repr)
def test_the_least_integer_by_minus_one_wraps(xdevice: Device, element: Any) -> None:
    @kernel
    def divide(a: In[element, n], b: In[element, n], quotient: Out[element, n], rest: Out[element, n]) -> None:
        for i in parallel(n):
            quotient[i] = a[i] // b[i]
            rest[i] = a[i] % b[i]

    least = np.iinfo(element.dtype).min
    quotient, rest = xdevice.run(divide, of(element, least, 1), of(element, -1, -1))
    np.testing.assert_array_equal(quotient, [least, -1])
    np.testing.assert_array_equal(rest, [0, 0])


@pytest.mark.parametrize("element", [*SIGNED, f32, f64], ids=repr)
def test_division_floors_and_the_remainder_has_the_divisors_sign(xdevice: Device, element: Any) -> None:
    @kernel
    def divide(a: In[element, n], b: In[element, n], quotient: Out[element, n], rest: Out[element, n]) -> None:
        for i in parallel(n):
            quotient[i] = a[i] // b[i]
            rest[i] = a[i] % b[i]

    quotient, rest = xdevice.run(divide, of(element, 7, -7, 7, -7), of(element, 2, 2, -2, -2))
    np.testing.assert_array_equal(quotient, [3, -4, -4, 3])
    np.testing.assert_array_equal(rest, [1, 1, -1, -1])


@pytest.mark.parametrize("element", [*SIGNED, u8, u32, u64], ids=repr)
def test_a_shift_by_the_width_or_more_leaves_nothing(xdevice: Device, element: Any) -> None:
    @kernel
    def shift(a: In[element, n], by: In[element, n], left: Out[element, n], right: Out[element, n]) -> None:
        for i in parallel(n):
            left[i] = a[i] << by[i]
            right[i] = a[i] >> by[i]

    bits = element.bits
    left, right = xdevice.run(shift, of(element, 1, 1, 1, 1), of(element, 1, bits - 1, bits, bits + 1))
    assert left.view(f"u{element.nbytes}").tolist() == [2, 1 << (bits - 1), 0, 0]
    assert right.tolist() == [0, 0, 0, 0]


def test_a_small_number_is_shifted_by_more_than_32_bits_hold(xdevice: Device) -> None:
    @kernel
    def shift(out: Out[i64, n]) -> None:
        for i in parallel(n):
            out[i] = abs((i64(-100) >> i64(32)) + ((i - 5) >> 40))

    np.testing.assert_array_equal(xdevice.run(shift, xdevice.empty(8, np.int64)), [2] * 5 + [1] * 3)


@pytest.mark.parametrize("element", SIGNED, ids=repr)
def test_a_shift_of_a_negative_number_keeps_its_sign(xdevice: Device, element: Any) -> None:
    @kernel
    def shift(a: In[element, n], by: In[element, n], right: Out[element, n]) -> None:
        for i in parallel(n):
            right[i] = a[i] >> by[i]

    bits = element.bits
    right = xdevice.run(shift, of(element, -8, -7, -1, -100), of(element, 1, 1, bits - 1, bits + 3))
    np.testing.assert_array_equal(right, [-4, -4, -1, -1])


@pytest.mark.parametrize("real", [f32, f64], ids=repr)
@pytest.mark.parametrize("element", [*SIGNED, u8, u32, u64], ids=repr)
def test_floats_become_integers_by_saturation_and_nan_becomes_zero(xdevice: Device, element: Any, real: Any) -> None:
    @kernel
    def cast(a: In[real, n], b: Out[element, n]) -> None:
        for i in parallel(n):
            b[i] = element(a[i])

    limits = np.iinfo(element.dtype)
    b = xdevice.run(cast, of(real, NAN, INF, -INF, 1e30, -1e30, 2.9, -0.9))
    assert b.tolist() == [0, limits.max, limits.min, limits.max, limits.min, 2, 0]


@pytest.mark.parametrize("element", [i8, i32, u8, u32], ids=repr)
def test_integers_become_narrower_by_wrapping(xdevice: Device, element: Any) -> None:
    @kernel
    def cast(a: In[i64, n], b: Out[element, n]) -> None:
        for i in parallel(n):
            b[i] = element(a[i])

    values = of(i64, 300, -1, 1 << 40, (1 << 31) + 5, -(1 << 63))
    np.testing.assert_array_equal(xdevice.run(cast, values), values.astype(element.dtype))


def test_large_integers_are_rounded_once_to_floats(xdevice: Device) -> None:
    @kernel
    def cast(a: In[u64, n], s: In[i64, n], b: Out[f32, n], c: Out[f64, n], d: Out[f32, n]) -> None:
        for i in parallel(n):
            b[i] = f32(a[i])
            c[i] = f64(a[i])
            d[i] = f32(s[i])

    a = of(u64, 0xFFFFFFFFFFFFFFFF, 0x8000008000000001, (1 << 53) + 1, 16777217)
    s = of(i64, -(1 << 63), 0x4000004000000001, -(1 << 53) - 1, -16777217)
    b, c, d = xdevice.run(cast, a, s)
    np.testing.assert_array_equal(b, np.float32([2.0**64, 0x80000100 * 2.0**32, 2.0**53, 16777216]))
    np.testing.assert_array_equal(c, [2.0**64, 0x80000080 * 2.0**32, 2.0**53, 16777217])
    np.testing.assert_array_equal(d, np.float32([-(2.0**63), 0x40000080 * 2.0**32, -(2.0**53), -16777216]))


@pytest.mark.parametrize("element", [f32, f64], ids=repr)
def test_min_and_max_prefer_nan_and_tell_the_zeros_apart(xdevice: Device, element: Any) -> None:
    @kernel
    def extrema(a: In[element, n], b: In[element, n], least: Out[element, n], most: Out[element, n]) -> None:
        for i in parallel(n):
            least[i] = min(a[i], b[i])
            most[i] = max(a[i], b[i])

    a, b = of(element, 0.0, -0.0, NAN, 1.0, INF), of(element, -0.0, 0.0, 1.0, NAN, -INF)
    least, most = xdevice.run(extrema, a, b)
    np.testing.assert_array_equal(least, of(element, -0.0, -0.0, NAN, NAN, -INF))
    np.testing.assert_array_equal(most, of(element, 0.0, 0.0, NAN, NAN, INF))
    assert np.signbit(least[:2]).all()
    assert not np.signbit(most[:2]).any()


@pytest.mark.parametrize("element", [f32, f64], ids=repr)
def test_nan_compares_unequal_to_everything(xdevice: Device, element: Any) -> None:
    @kernel
    def compare(a: In[element, n], b: In[element, n], found: Out[u8, 6, n]) -> None:
        for i in parallel(n):
            found[0, i] = u8(a[i] == b[i])
            found[1, i] = u8(a[i] != b[i])
            found[2, i] = u8(a[i] < b[i])
            found[3, i] = u8(a[i] >= b[i])
            found[4, i] = u8(not a[i] < b[i])
            found[5, i] = u8(isnan(a[i] - a[i]) and bool(a[i]))

    found = xdevice.run(compare, of(element, NAN, NAN, 1.0, INF), of(element, NAN, 1.0, 1.0, INF))
    assert found.T.tolist() == [[0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 1, 1], [1, 0, 0, 1, 1, 0], [1, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize("element", [f32, f64], ids=repr)
@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "rint", "exp", "exp2", "expm1", "sinh", "tanh"])
def test_a_function_is_computed_of_a_constant_beyond_the_integers(xdevice: Device, element: Any, name: str) -> None:
    function = getattr(np, name)

    @kernel
    def constants(out: InOut[element, n, 4]) -> None:
        for i in parallel(n):
            out[i, 0] = function(element(NAN))
            out[i, 1] = function(element(INF))
            out[i, 2] = function(element(2.0**64))
            out[i, 3] = function(element(-2.5))

    with np.errstate(over="ignore"):
        expected = function(of(element, NAN, INF, 2.0**64, -2.5))
    found = xdevice.run(constants, np.full((17, 4), 7, element.dtype))
    np.testing.assert_allclose(found, np.tile(expected, (17, 1)), rtol=1e-6)


def test_conditions_do_not_read_what_they_rule_out(xdevice: Device) -> None:
    @kernel
    def guarded(a: In[f32, n], b: Out[f32, 3, n]) -> None:
        for i in parallel(n):
            b[0, i] = f32(1) if i > 0 and a[i - 1] > 0 else f32(0)
            b[1, i] = f32(1) if i == n - 1 or a[i + 1] > 0 else f32(0)
            b[2, i] = a[i - 1] if i > 0 else a[n - 1]

    # One page long, so that a read outside of it on either side is one outside of mapped memory.
    values = np.arange(1024, dtype=np.float32) - 511.5
    b = xdevice.run(guarded, values)
    np.testing.assert_array_equal(b[0], np.append(0, values[:-1] > 0))
    np.testing.assert_array_equal(b[1], np.append(values[1:] > 0, 1))
    np.testing.assert_array_equal(b[2], np.roll(values, 1))


def test_literals_do_not_widen_and_products_are_not_fused(xdevice: Device) -> None:
    @kernel
    def arithmetic(a: In[f32, n], b: In[f32, n], c: In[f32, n], tenth: Out[f32, n], sum: Out[f32, n]) -> None:
        for i in parallel(n):
            tenth[i] = a[i] * 0.1 + 0.3
            sum[i] = a[i] * b[i] + c[i]

    a, b = np.float32([1.0000001, 16777217, 3]), np.float32([1.0000001, 1 / 3, 1 / 3])
    tenth, total = xdevice.run(arithmetic, a, b, -a * b)
    np.testing.assert_array_equal(tenth, a * np.float32(0.1) + np.float32(0.3))
    np.testing.assert_array_equal(total, [0, 0, 0])


@pytest.mark.parametrize("element", [f32, f64], ids=repr)
def test_subnormals_are_kept(xdevice: Device, element: Any) -> None:
    @kernel
    def arithmetic(a: In[element, n], b: Out[element, 4, n]) -> None:
        for i in parallel(n):
            b[0, i] = a[i] * 0.5
            b[1, i] = a[i] + a[i]
            b[2, i] = max(a[i], 0.0)
            b[3, i] = abs(-a[i])

    tiny = np.finfo(element.dtype).tiny
    a = of(element, tiny, tiny / 4, np.finfo(element.dtype).smallest_subnormal)
    b = xdevice.run(arithmetic, a)
    np.testing.assert_array_equal(b, [a / 2, a + a, a, a])
    assert b[0, 1] > 0


def test_wide_integers_divide_and_convert_where_registers_are_narrow(xdevice: Device) -> None:
    @kernel
    def arithmetic(
        a: In[i64, n], b: In[u64, n], c: Out[i64, n], d: Out[u64, n], e: Out[i64, n], f: Out[u64, n]
    ) -> None:
        for i in parallel(n):
            c[i] = a[i] // 1000003 + a[i] % 97
            d[i] = b[i] // (b[i] >> 33)
            e[i] = i64(f64(a[i]) * 0.5)
            f[i] = u64(f32(b[i]))

    a, b = of(i64, -(1 << 62), 123456789012345), of(u64, 0xFEDCBA9876543210, 1 << 40)
    c, d, e, f = xdevice.run(arithmetic, a, b)
    np.testing.assert_array_equal(c, a // 1000003 + a % 97)
    np.testing.assert_array_equal(d, b // (b >> np.uint64(33)))
    np.testing.assert_array_equal(e, [-(1 << 61), 61728394506172])
    np.testing.assert_array_equal(f, of(u64, 0xFEDCBB0000000000, 1 << 40))


def test_halves_are_rounded_to_nearest_even(xdevice: Device) -> None:
    @kernel
    def narrow(a: In[f32, n], b: Out[f16, n], c: Out[f32, n]) -> None:
        for i in parallel(n):
            b[i] = f16(a[i])
        for i in parallel(n):
            c[i] = b[i] * 2

    a = np.float32([1 + 2**-11, 1 + 3 * 2**-11, 65519, 65520, 2**-25, 2**-24, 1e-10, NAN, -INF, -0.0])
    b, c = xdevice.run(narrow, a)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(b, a.astype(np.float16))
    np.testing.assert_array_equal(c, b.astype(np.float32) * 2)
    assert np.signbit(b[-1])


def test_a_small_power_is_multiplied_out(xdevice: Device) -> None:
    @kernel
    def power(a: In[f32, n], k: In[i32, n], b: Out[f32, n], c: Out[i32, n]) -> None:
        for i in parallel(n):
            b[i] = a[i] ** 5
            c[i] = k[i] ** 3

    a, k = np.float32([1.1, -2, 0]), of(i32, -3, 70000, 2)
    b, c = xdevice.run(power, a, k)
    square = a * a
    np.testing.assert_array_equal(b, a * (square * square))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(c, k * (k * k))


# Words that mean something to OpenCL C, to C, to LLVM or to the linker, and nothing to Python.
WORDS = [
    "dot", "max", "step", "sign", "mix", "half", "uint", "float4", "image2d_t", "sampler_t", "get_global_id", "barrier",
    "local", "constant", "private", "restrict", "volatile", "register", "auto", "int", "long", "void", "struct",
    "main", "entry", "args", "begin", "define", "malloc", "memcpy", "sqrtf", "expf", "xd_args", "M_PI", "NULL", "true",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_names_are_free(xdevice: Device, word: str) -> None:
    assert not keyword.iskeyword(word)
    text = (
        f"@kernel\ndef {word}(x_{word}: In[f32, n], {word}: In[f32, n], b: Out[f32, n]):\n"
        f"    for i in parallel(n):\n        {word}_ = {word}[i]\n        b[i] = {word}_ + x_{word}[i]\n"
    )
    filename = f"<kernel {word}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    names: dict[str, Any] = {name: getattr(xd, name) for name in ("kernel", "In", "Out", "f32", "parallel")} | {"n": n}
    exec(compile(text, filename, "exec", dont_inherit=True), names)
    a = np.float32([1, 2, 3])
    np.testing.assert_array_equal(xdevice.run(names[word], a, a), a + a)


def test_locals_and_dims_may_have_names_of_built_in_functions(xdevice: Device) -> None:
    size = dim("half")

    @kernel
    def total(a: In[f32, size], sum: InOut[f32, 1]) -> None:
        dot = f32(0)
        for step in range(size):
            dot += a[step]
        sum[0] = dot

    np.testing.assert_array_equal(xdevice.run(total, np.float32([1, 2, 3]), np.float32([0])), [6])
