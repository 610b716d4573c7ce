"""The language on whatever device the run has: each kernel must give what its own interpretation in Python gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import atomic_add
from pytest_xdevice import atomic_max
from pytest_xdevice import barrier
from pytest_xdevice import bool_
from pytest_xdevice import cos
from pytest_xdevice import dim
from pytest_xdevice import exp
from pytest_xdevice import exp2
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i8
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import log
from pytest_xdevice import log2
from pytest_xdevice import log10
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import private
from pytest_xdevice import shared
from pytest_xdevice import sin
from pytest_xdevice import sqrt
from pytest_xdevice import tanh
from pytest_xdevice import u8
from pytest_xdevice import u32
from pytest_xdevice import u64
from pytest_xdevice.remote import Device

m, n = dim("m"), dim("n")
pytestmark = [pytest.mark.cpu, pytest.mark.opencl]
INTEGERS = [i8, i32, i64, u8, u32]


def agree(device: Device, source: Any, *arguments: Any, exact: bool = True) -> None:
    """Run a kernel on the device and in Python, and compare what it wrote."""
    copies = [value.copy() if isinstance(value, np.ndarray) else value for value in arguments]
    expected = source.python(*copies)
    actual = device.run(source, *arguments)
    if expected is None:  # nothing was left out, so that it wrote in place: to the last argument
        expected = copies[-1]
    several = isinstance(expected, tuple)
    for got, wanted in zip(actual, expected, strict=True) if several else [(actual, expected)]:
        if exact:
            np.testing.assert_array_equal(got, wanted)
        else:
            device.assert_close(got, wanted)


def edges(element: Any) -> np.ndarray[Any, np.dtype[Any]]:
    limits = np.iinfo(element.dtype)
    values = [limits.min, limits.min + 1, 0, 1, 2, 7, limits.max - 1, limits.max]
    return np.array(values + ([-1, -2, -7] if limits.min < 0 else [3]), element.dtype)


def every_pair(element: Any) -> tuple[Any, Any]:
    left, right = np.meshgrid(edges(element), edges(element))
    return np.ascontiguousarray(left.ravel()), np.ascontiguousarray(right.ravel())


@pytest.mark.parametrize("element", INTEGERS, ids=repr)
def test_integers_divide_and_shift_as_in_numpy(xdevice: Device, element: Any) -> None:
    @kernel
    def arithmetic(a: In[element, n], b: In[element, n], c: Out[element, 5, n]) -> None:
        for i in parallel(n):
            c[0, i] = a[i] // b[i]
            c[1, i] = a[i] % b[i]
            c[2, i] = a[i] << b[i]
            c[3, i] = a[i] >> b[i]
            c[4, i] = a[i] * b[i] - max(a[i], b[i])

    agree(xdevice, arithmetic, *every_pair(element))


@pytest.mark.parametrize("element", [i32, i64, u8], ids=repr)
def test_floats_become_integers_by_saturation(xdevice: Device, element: Any) -> None:
    @kernel
    def cast(a: In[f32, n], b: Out[element, n]) -> None:
        for i in parallel(n):
            b[i] = element(a[i])

    agree(xdevice, cast, np.float32([0, -1.5, 2.5, 1e30, -1e30, np.nan, np.inf, -np.inf, 300]))


@pytest.mark.parametrize("element", [i64, u64], ids=repr)
def test_wide_integers_become_the_nearest_float(xdevice: Device, element: Any) -> None:
    @kernel
    def cast(a: In[element, n], singles: Out[f32, n], doubles: Out[f64, n], back: Out[element, 2, n]) -> None:
        for i in parallel(n):
            singles[i] = f32(a[i])
            doubles[i] = f64(a[i])
            back[0, i] = element(f32(a[i]) * 1.5)
            back[1, i] = element(f64(a[i]) * -1.5)

    powers = [1 << bits for bits in (0, 24, 25, 31, 32, 53, 54, 62)]
    limits = np.iinfo(element.dtype)
    ties = [(1 << 62) + (1 << 38) + step for step in (-1, 0, 1)]  # half-way between two f32, but for the last bit
    near = [*(power + step for power in powers for step in (-1, 0, 1)), *ties, limits.max, limits.min]
    negative = [-value for value in near if limits.min < -value < 0]
    agree(xdevice, cast, np.array([*near, *negative], element.dtype))


@pytest.mark.parametrize("element", [f32, f64], ids=repr)
def test_floats_are_exact(xdevice: Device, element: Any) -> None:
    @kernel
    def arithmetic(a: In[element, n], b: In[element, n], c: Out[element, n]) -> None:
        for i in parallel(n):
            c[i] = (a[i] * b[i] + a[i]) / (sqrt(abs(b[i])) + 1.0)

    rng = np.random.default_rng(0)
    agree(xdevice, arithmetic, rng.normal(size=200).astype(element.dtype), rng.normal(size=200).astype(element.dtype))


@kernel
def half_precision(a: In[f16, n], x: In[f32, n], d: In[f64, n], wide: Out[f32, n], halves: Out[f16, 3, n]) -> None:
    for i in parallel(n):
        wide[i] = a[i]
        halves[0, i] = f16(x[i])
        halves[1, i] = f16(d[i])
        halves[2, i] = f16(f32(a[i]) * 1.5)


def test_half_precision_widens_exactly_and_rounds_once(xdevice: Device) -> None:
    halves = np.arange(0, 1 << 16, 7, dtype=np.uint16).view(np.float16)
    halves = halves[~np.isnan(halves)]
    singles = np.nextafter(np.float32(halves) * np.float32(1.00048828125), np.float32(0))
    doubles = np.float64(halves) * 1.00048828125 * (1 + 2.0**-40)
    with np.errstate(over="ignore"):
        agree(xdevice, half_precision, halves, singles, doubles)


@kernel
def guarded(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n, block=16):
        if (i > 0 and a[i - 1] > 0.5) or i == n - 1:
            b[i] = a[i] if a[i] < 0.75 else f32(0)
        else:
            b[i] = -a[i]


def test_short_circuit_does_not_read_out_of_bounds(xdevice: Device) -> None:
    agree(xdevice, guarded, np.random.default_rng(0).uniform(size=1024).astype(np.float32))


@kernel
def collatz(a: In[i64, n], steps: Out[i32, n], limit: i32) -> None:
    for i in parallel(n):
        x = a[i]
        count = i32(0)
        while x != 1:
            if count == limit:
                break
            x = x // 2 if x % 2 == 0 else 3 * x + 1
            count += 1
        steps[i] = count


def test_while_break_and_ternary(xdevice: Device) -> None:
    values = np.arange(1, 60)
    expected = np.empty(59, np.int32)
    collatz.python(values, expected, 50)
    np.testing.assert_array_equal(xdevice.run(collatz, values, limit=50), expected)


@kernel
def first_above(a: In[f32, n], found: InOut[i64, 1]) -> None:
    for i in range(n):
        if a[i] <= 1.5:
            continue
        found[0] = i
        return


def test_continue_and_an_early_return(xdevice: Device) -> None:
    values = np.float32([0, 1, 2, 3])
    np.testing.assert_array_equal(xdevice.run(first_above, values, np.int64([-1])), [2])
    np.testing.assert_array_equal(xdevice.run(first_above, values[:2].copy(), np.int64([-1])), [-1])


@kernel
def several(a: In[f32, m, n], flags: Out[bool_, m, n], b: Out[f32, m, n]) -> None:
    for y, x in parallel(m, n, block=(4, 8)):
        flags[y, x] = 0.25 < a[y, x] <= 0.75
    for y, x in parallel(m, n):
        b[y, x] = exp(a[y, x]) if flags[y, x] else f32(a.shape[1])


def test_several_parallel_loops_in_two_dimensions(xdevice: Device) -> None:
    values = np.random.default_rng(0).uniform(size=(13, 21)).astype(np.float32)
    flags, b = np.empty((13, 21), bool), np.empty((13, 21), np.float32)
    several.python(values, flags, b)
    actual_flags, actual = xdevice.run(several, values)
    np.testing.assert_array_equal(actual_flags, flags)
    xdevice.assert_close(actual, b)


@kernel
def cube(a: In[i32, m, n, 4], b: Out[i32, m, n, 4]) -> None:
    for x, y, z in parallel(m, n, 4):
        b[x, y, z] = a[m - 1 - x, n - 1 - y, -1] + i32(z)


def test_three_dimensions_and_an_index_from_the_end(xdevice: Device) -> None:
    agree(xdevice, cube, np.arange(3 * 5 * 4, dtype=np.int32).reshape(3, 5, 4))


@kernel
def checkered(a: In[i32, m, n], b: InOut[i32, m, n]) -> None:
    for y, x in parallel(range(1, m - 1), range(n - 1, -1, -2), block=(2, 8)):
        b[y, x] = a[y - 1, x] + a[y + 1, x] + i32(x)


def test_parallel_loops_over_ranges(xdevice: Device) -> None:
    values = np.arange(9 * 17, dtype=np.int32).reshape(9, 17)
    expected = np.zeros_like(values)
    checkered.python(values, expected)
    np.testing.assert_array_equal(xdevice.run(checkered, values, np.zeros_like(values)), expected)


@kernel
def three_smallest(a: In[f32, m, n], b: Out[f32, m, 3]) -> None:
    for y in parallel(m):
        best = private(f32, 3)
        for k in range(3):
            best[k] = 1e30
        for x in range(n):
            value = a[y, x]
            for k in range(3):
                if value < best[k]:
                    value, best[k] = best[k], value
        for k in range(3):
            b[y, k] = best[k]


def test_arrays_of_an_iteration(xdevice: Device) -> None:
    values = np.random.default_rng(0).uniform(size=(23, 17)).astype(np.float32)
    expected = np.sort(values, axis=1)[:, :3]
    np.testing.assert_array_equal(xdevice.run(three_smallest, values, np.empty((23, 3), np.float32)), expected)


@kernel
def filled(b: Out[f32, n], value: f32) -> None:
    for i in parallel(n):
        b[i] = value


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0])
def test_a_scalar_may_be_any_float(xdevice: Device, value: float) -> None:
    b = np.empty(3, np.float32)
    np.testing.assert_array_equal(xdevice.run(filled, b, value), np.full(3, value, np.float32))


# --- what drawn kernels found -----------------------------------------------------------------------------


@kernel
def remainder_of_the_extent(a: In[f64, n], chosen: In[bool_, n], divisor: In[i64, 1], b: InOut[f64, n]) -> None:
    for i in parallel(n):
        b[i] = -1.0 if chosen[i] else a[i64(7 % n)]


@kernel
def remainder_of_a_scalar(a: In[f64, n], chosen: In[bool_, n], divisor: In[i64, 1], b: InOut[f64, n]) -> None:
    d = divisor[0]
    for i in parallel(n):
        if d > 0 and chosen[i]:
            b[i] = a[7 % d]


@kernel
def remainder_of_an_element(a: In[f64, n], chosen: In[bool_, n], divisor: In[i64, 1], b: InOut[f64, n]) -> None:
    for i in parallel(n):
        if divisor[0] > 0 and chosen[i]:
            place = 7 % divisor[0]
            b[i] = a[place]


@pytest.mark.parametrize(
    "source", [remainder_of_the_extent, remainder_of_a_scalar, remainder_of_an_element], ids=lambda source: source.name
)
@pytest.mark.parametrize("first", [0, 1])
def test_a_division_that_some_iterations_reach_is_right_in_each(xdevice: Device, source: Any, first: int) -> None:
    chosen = np.arange(33) % 2 == first
    agree(xdevice, source, np.random.default_rng(0).uniform(size=33), chosen, np.int64([5]), np.ones(33))


@kernel
def transpose(a: In[f32, m, n], b: Out[f32, n, m]) -> None:
    for y, x in parallel((m + 7) // 8 * 8, (n + 7) // 8 * 8, block=(8, 8)):
        tile = shared(f32, 8, 9)
        row, column = y % 8, x % 8
        if y < m and x < n:
            tile[row, column] = a[y, x]
        barrier()
        if y - row + column < m and x - column + row < n:
            b[x - column + row, y - row + column] = tile[column, row]


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (33, 17)])
def test_work_groups_share_memory(xdevice: Device, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    np.testing.assert_array_equal(xdevice.run(transpose, values, np.empty(shape[::-1], np.float32)), values.T)


@kernel
def scan(a: In[i32, n], b: Out[i32, n]) -> None:
    for i in parallel(n, block=16):
        held = shared(i32, 2, 16)
        held[0, i % 16] = a[i]
        now, distance = 0, 1
        while distance < 16:
            barrier()
            value = held[now, i % 16]
            if i % 16 >= distance:
                value += held[now, i % 16 - distance]
            now = 1 - now
            held[now, i % 16] = value
            distance *= 2
        b[i] = held[now, i % 16]


def test_items_wait_for_each_other(xdevice: Device) -> None:
    agree(xdevice, scan, np.arange(100, dtype=np.int32))


@pytest.mark.parametrize("function", [exp, exp2, log, log2, log10, sin, cos, tanh], ids=lambda each: each.name)
def test_elementary_functions_have_the_same_bits_everywhere(xdevice: Device, function: Any) -> None:
    @kernel
    def apply(a: In[f32, n], b: Out[f32, n]) -> None:
        for i in parallel(n):
            b[i] = function(a[i])

    patterns = np.random.default_rng(0).integers(0, 1 << 32, 300, np.uint32).view(np.float32)
    special = np.float32([0.0, -0.0, 1e-45, -1e-40, 1.0, -1.0, 88.7, -103.9, 3e38, np.inf, -np.inf, np.nan])
    inside = np.random.default_rng(1).uniform(-20, 20, 200).astype(np.float32)
    agree(xdevice, apply, np.concatenate([patterns, special, inside]))


@pytest.mark.parametrize("fast", [(), ("contract",), ("reassoc",), ("full",)], ids=" ".join)
def test_each_word_of_fast_builds_and_survives_a_file(xdevice: Device, fast: tuple[str, ...], tmp_path: Path) -> None:
    @kernel(fast=fast)
    def apply(a: In[f32, n], b: Out[f32, n]) -> None:
        for i in parallel(n):
            b[i] = exp(a[i]) * 3.0 + 1.0

    values = np.random.default_rng(0).uniform(size=1000).astype(np.float32)
    loaded = xdevice.load(xdevice.compile(apply).artifact.save(tmp_path / "saved"))
    result = xdevice.empty(1000)
    loaded(xdevice.array(values), result)
    np.testing.assert_allclose(result, np.exp(values) * 3 + 1, rtol=1e-6)


@kernel
def tallied(a: In[i32, n], counts: InOut[i32, 8], most: InOut[f32, 8]) -> None:
    for i in parallel(n, block=32):
        old = atomic_add(counts[a[i] % 8], 1)
        atomic_max(most[a[i] % 8], f32(old))


def test_atomic_operations(xdevice: Device) -> None:
    values = np.arange(1000, dtype=np.int32) ** 2 % 97
    counts, most = xdevice.run(tallied, values, np.zeros(8, np.int32), np.full(8, -1, np.float32))
    np.testing.assert_array_equal(counts, np.bincount(values % 8, minlength=8))
    np.testing.assert_array_equal(most, counts - 1)


def clamp(x: f32, low: f32, high: f32) -> f32:
    return min(max(x, low), high)


def position(values, wanted, start=0) -> i64:
    for k in range(start, len(values)):
        if values[k] == wanted:
            return k
        if values[k] > wanted:
            break
    return -1


def count_in(counts, k) -> bool_:
    counts[k] += 1
    return counts[k] < 2


def test_helpers_are_inlined_with_their_early_returns(xdevice: Device) -> None:
    @kernel
    def helpers(a: In[f32, n], keys: In[i64, m], b: Out[f32, n], found: Out[i64, m], first: Out[bool_, m]) -> None:
        for i in parallel(n):
            b[i] = clamp(a[i], 0, 1) + (clamp(a[i - 1], -1, 0) if i > 0 and position(keys, i) < 0 else 0)
        for i in parallel(m):
            found[i] = position(keys, keys[i] + 1, start=i)
        for i in range(m):
            first[i] = (i > 0 and count_in(found, i)) or keys[i] == 3

    a = np.random.default_rng(0).uniform(-2, 2, 77).astype(np.float32)
    agree(xdevice, helpers, a, np.array([1, 2, 3, 5, 6, 60]))


@kernel
def first_of_both(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(n):
        b[i] += 1
        b[i] += a[i - 1] if i > 0 else b[i]


def test_a_choice_of_elements_sees_what_was_just_written(xdevice: Device) -> None:
    # NVIDIA's compiler joined the two loads into one that goes past the store.
    agree(xdevice, first_of_both, np.arange(1000, dtype=np.float32), np.full(1000, 7, np.float32))


@kernel
def chosen_bytes(keys: In[i8, n], a: In[i32, n], b: In[i32, n], c: InOut[bool_, n]):
    for i in parallel(n):
        if keys[i] <= 8:
            c[i] = b[i] == (a[i - 1] if i > 0 else i32(-96))


def test_only_chosen_bytes_are_written(xdevice: Device) -> None:
    # LLVM 22 lost the upper bits of a mask of eight bytes where it kept the mask in memory.
    chosen = np.random.default_rng(0)
    keys = chosen.integers(0, 17, 1000).astype(np.int8)
    a, b = chosen.integers(-1, 2, (2, 1000)).astype(np.int32)
    agree(xdevice, chosen_bytes, keys, a, b, chosen.integers(0, 2, 1000).astype(bool))


@kernel
def far_apart(start: In[i64, n], flags: In[bool_, n], others: In[bool_, n], c: InOut[i8, n]):
    for i in parallel(n):
        if i != start[0] + 9223372036854775806:
            continue
        other = others[i]
        c[i] = i8(flags[0] and other)


def test_numbers_as_far_apart_as_can_be_are_compared(xdevice: Device) -> None:
    # An assertion of LLVM 22 fails where it makes vectors of straight-line code with such distances.
    yes = np.ones(5, bool)
    agree(xdevice, far_apart, np.full(5, 3 - 9223372036854775806), yes, yes, np.zeros(5, np.int8))


GAIN = 2


def test_changed_constant_is_seen_by_the_next_run(xdevice: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    @kernel
    def scaled(a: In[f32, n], b: Out[f32, n]) -> None:
        for i in parallel(n):
            b[i] = a[i] * GAIN

    a = np.ones(3, np.float32)
    compiled, on_device, b = xdevice.compile(scaled), xdevice.array(a), xdevice.empty(3, np.float32)
    for gain in (2, 5, 2):
        monkeypatch.setitem(globals(), "GAIN", gain)
        np.testing.assert_array_equal(xdevice.run(scaled, a), a * gain)
        compiled(on_device, b)
        np.testing.assert_array_equal(b, a * 2)
