"""Work-groups that a launch chooses: `block` and `grid`, on a CPU and by OpenCL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import barrier
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import private
from pytest_xdevice import shared
from pytest_xdevice.kernel.launch_shape import LaunchShape
from pytest_xdevice.remote import Device

k, m, n = dim("k"), dim("m"), dim("n")
pytestmark = [pytest.mark.cpu, pytest.mark.opencl]


@kernel
def line(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def line_in_blocks(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n, block=32):
        b[i] = a[i] + 1.0


@kernel
def transpose(a: In[f32, m, n], b: Out[f32, n, m]) -> None:
    for y, x in parallel(m, n, block=(4, 4)):
        b[x, y] = a[y, x]


@kernel
def cube(a: In[f32, k, m, n], b: Out[f32, k, m, n]) -> None:
    for z, y, x in parallel(k, m, n):
        b[z, y, x] = a[z, y, x] * 2.0


@kernel
def ranges(a: InOut[f32, m, n]) -> None:
    """Loops of two ranks, over ranges, with what a loop in turns has to keep apart: continue and private arrays."""
    for y, x in parallel(range(1, m - 1), range(n - 1, 0, -2)):
        if a[y, x] > 50.0:
            continue
        pair = private(f32, 2)
        pair[x % 2] += a[y, x]
        a[y, x] = pair[0] - pair[1]
    for y in parallel(m):
        a[y, 0] = 7.0


def check(device: Device, source: Any, values: Any, **shape: Any) -> None:
    """Launch with `shape`, through NumPy arrays and on arrays on the device, and compare with the interpreter."""
    expected = source.python(values.copy())
    np.testing.assert_array_equal(device.run(source, values, **shape), expected)
    function = device.compile(source)
    given, result = device.array(values), device.empty(expected.shape)
    for _ in range(2):
        function(given, result, **shape)
        np.testing.assert_array_equal(result, expected)
    assert function.time(given, result, number=1, repeat=2, **shape).repeat == 2
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("size", [0, 1, 77, 3000])
@pytest.mark.parametrize(
    ("source", "shape"),
    [(line, {"block": 7}), (line, {"grid": 3}), (line_in_blocks, {"block": (64,)}),
     (line_in_blocks, {"block": 16, "grid": 2})],
    ids=["block", "grid", "other block", "block and grid"],
)  # fmt: skip
def test_one_dimension(xdevice: Device, size: int, source: Any, shape: dict[str, Any]) -> None:
    check(xdevice, source, np.arange(size, dtype=np.float32), **shape)


@pytest.mark.parametrize("shape", [{"block": (np.int64(8), 2)}, {"block": (1, 16), "grid": (2, 1)}], ids=str)
def test_two_dimensions(xdevice: Device, shape: dict[str, Any]) -> None:
    check(xdevice, transpose, np.arange(37 * 50, dtype=np.float32).reshape(37, 50), **shape)


def test_three_dimensions(xdevice: Device) -> None:
    values = np.arange(3 * 10 * 20, dtype=np.float32).reshape(3, 10, 20)
    check(xdevice, cube, values, block=(1, 4, 8), grid=(2, 1, 2))


@pytest.mark.parametrize("shape", [{"block": (4, 8)}, {"grid": (2, 1)}, {"grid": 1}], ids=str)
def test_a_shape_is_for_the_loops_of_its_rank(xdevice: Device, shape: dict[str, Any]) -> None:
    values = np.arange(9 * 12, dtype=np.float32).reshape(9, 12)
    expected = values.copy()
    ranges.python(expected)
    np.testing.assert_array_equal(xdevice.run(ranges, values, **shape), expected)


class TestMistakes:
    def test_no_loop_of_that_rank(self, xdevice: Device) -> None:
        with pytest.raises(ArgumentError, match=r"line: block=\(8, 8\) is for parallel loops of 2 variables.*have 1"):
            xdevice.run(line, np.zeros(8, np.float32), block=(8, 8))

    @pytest.mark.parametrize("size", [0, -1, 2.0, True, "8", (), (1, 1, 1, 1), (8, None)], ids=str)
    @pytest.mark.parametrize("name", ["block", "grid"])
    def test_what_is_no_size(self, xdevice: Device, name: str, size: Any) -> None:
        function = xdevice.compile(line)
        with pytest.raises(ArgumentError, match=f"{name} must be a positive integer, or a tuple of one to three"):
            function(xdevice.empty(8), xdevice.empty(8), **{name: size})

    @pytest.mark.parametrize("shape", [{"block": 32}, {"grid": 1}], ids=str)
    def test_a_loop_whose_groups_are_written_for_its_block(self, xdevice: Device, shape: dict[str, Any]) -> None:
        @kernel
        def reverse(a: InOut[f32, n]) -> None:
            for i in parallel(n, block=16):
                group = shared(f32, 16)
                group[i % 16] = a[i]
                barrier()
                a[i] = group[15 - i % 16]

        with pytest.raises(ArgumentError, match=r"reverse: .* changes the work-groups of the loop on line \d+"):
            xdevice.run(reverse, np.zeros(32, np.float32), **shape)

    def test_block_and_grid_of_two_ranks(self, xdevice: Device) -> None:
        with pytest.raises(ArgumentError, match="loops of different ranks"):
            xdevice.run(line, np.zeros(8, np.float32), block=8, grid=(2, 2))

    def test_a_kernel_from_a_file(self, xdevice: Device, tmp_path: Path) -> None:
        function = xdevice.load(xdevice.compile(line).artifact.save(tmp_path / "line"))
        with pytest.raises(ArgumentError, match="loaded from a file keeps its work-groups"):
            function.time(xdevice.empty(8), xdevice.empty(8), block=8)


def test_a_block_that_no_device_takes(xdevice: Device) -> None:
    values = np.arange(8, dtype=np.float32)
    if xdevice.kind == "cpu":
        np.testing.assert_array_equal(xdevice.run(line, values, block=1 << 20), values + 1)
        return
    limit = xdevice.session.opencl_devices()[0].max_work_group_size
    message = f"line: block={2 * limit} makes work-groups of {2 * limit} work-items, and .* takes at most {limit}"
    with pytest.raises(ArgumentError, match=message):
        xdevice.run(line, values, block=2 * limit)
    np.testing.assert_array_equal(xdevice.run(line, values, block=limit), values + 1)


def test_a_program_for_each_block() -> None:
    programs = [line_in_blocks.with_shape(LaunchShape.read(block, None)) for block in (8, 16, 8)]
    assert programs[0] is programs[2]
    assert "reqd_work_group_size(16, 1, 1)" in programs[1].opencl_program().source
