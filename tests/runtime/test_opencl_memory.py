"""Red zones of arrays on an OpenCL device, in memory that is shared with the host and in the device's own."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_xdevice.runtime import opencl_memory
from pytest_xdevice.runtime.launch import DeviceProblem
from pytest_xdevice.runtime.launch import Launch
from pytest_xdevice.runtime.opencl import OpenCLBackend
from pytest_xdevice.runtime.opencl_memory import PlainMemory
from pytest_xdevice.runtime.opencl_memory import SharedMemory
from pytest_xdevice.runtime.opencl_memory import ZonedMemory
from tests.harness.requirement import unavailable

SOURCE = b"__kernel void put(__global const int *a, __global int *b, long at, int v) { b[at] = v; }"


@pytest.fixture(params=[SharedMemory, ZonedMemory])
def backend(request: pytest.FixtureRequest) -> OpenCLBackend:
    try:
        found = OpenCLBackend("", guard=True)
    except DeviceProblem as problem:
        unavailable(request.config, str(problem))
    if request.param is SharedMemory and not isinstance(found._memory, SharedMemory):
        unavailable(request.config, "no PoCL on this machine")
    found._memory = request.param(found._cl, found._queue)
    found.load("key", SOURCE, {"by_hand": True, "build_options": []})
    return found


def put(backend: OpenCLBackend, arrays: list[Any], at: int, value: int = 7) -> None:
    values = at.to_bytes(8, "little", signed=True) + value.to_bytes(8, "little", signed=True)
    request = {
        "key": "key", "entry": "put", "arguments": [0, 1, -1, -2], "values": values.hex(), "timeout": 60,
        "sizes": [0, 0, 8, 4], "phases": [{"entry": "put", "global": [1], "local": None}],
    }  # fmt: skip
    backend.launch(Launch(request), [*arrays, None, None])


@pytest.mark.parametrize("nbytes", [4, 20, 4096, 100_004])
def test_writes_outside_of_an_array_are_found(backend: OpenCLBackend, nbytes: int) -> None:
    a, b = backend.allocate(nbytes), backend.allocate(nbytes)
    for array in (a, b):
        backend.fill(array, 0)
    elements = nbytes // 4
    put(backend, [a, b], elements - 1)
    put(backend, [a, b], 0)
    assert bytes(backend.readable(b, nbytes - 4, 4))[0] == 7
    for index in (elements, elements + 100, -1, -100):
        fresh = backend.allocate(nbytes)
        with pytest.raises(DeviceProblem) as problem:
            put(backend, [a, fresh], index)
        expected = {"position": 1, "offset": 4 * index + 3 * (index < 0), "count": 4, "nbytes": nbytes}
        assert problem.value.details == expected
        backend.free(fresh)
        put(backend, [a, b], 0)


def test_arrays_of_no_bytes(backend: OpenCLBackend) -> None:
    a, b = backend.allocate(0), backend.allocate(4)
    put(backend, [a, b], 0)
    with pytest.raises(DeviceProblem):
        put(backend, [b, a], 0)


def test_many_arrays_come_and_go(backend: OpenCLBackend) -> None:
    for size in range(0, 3000, 7):
        array = backend.allocate(size)
        backend.fill(array, 1)
        backend.written(array, memoryview(bytearray(size)))
        backend.fill(array, 0xFF)
        if size % 2:
            assert bytes(backend.readable(array, 0, size)) == b"\xff" * size
        backend.free(array)


def test_without_guards_there_are_no_zones(backend: OpenCLBackend) -> None:
    assert type(OpenCLBackend("", guard=False)._memory) is PlainMemory


@pytest.mark.parametrize(
    ("start", "length"), [(0, 50), (0, 100), (20, 333), (90, 20), (100, 30), (150, 250), (0, 0), (120, 0)]
)
def test_bytes_that_no_driver_fills_are_copied(
    backend: OpenCLBackend, monkeypatch: pytest.MonkeyPatch, start: int, length: int
) -> None:
    monkeypatch.setattr(opencl_memory, "_NEAR", 100)
    block = backend.allocate(500)
    backend.fill(block, 0)
    opencl_memory.fill(backend._cl, backend._queue, block.handle, 7, start, length)
    expected = bytes(start) + b"\7" * length + bytes(500 - start - length)
    assert bytes(backend.readable(block, 0, 500)) == expected
