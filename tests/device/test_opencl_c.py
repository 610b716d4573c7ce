"""Kernels in OpenCL C on a device: their arguments, their launches, and what is said when something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import CompileError
from pytest_xdevice import f32
from pytest_xdevice import local
from pytest_xdevice import opencl_kernel
from pytest_xdevice.compile import build
from pytest_xdevice.remote import Device

pytestmark = pytest.mark.opencl

SAXPY = """
__kernel void saxpy(const uint n, float alpha, __global const float *restrict x, __global float *restrict y) {
    size_t i = get_global_id(0);
    if (i < n) y[i] += alpha * x[i];
}
__kernel void twice(__global float *x) { x[get_global_id(0)] *= 2; }
"""
saxpy = opencl_kernel(SAXPY, "saxpy")
twice = opencl_kernel(SAXPY, "twice")


def ramp(size: int = 100) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(size, dtype=np.float32)


def test_run_compile_time_save_and_load(xdevice: Device, tmp_path: Path) -> None:
    expected = 1 + 2 * ramp()
    given = np.ones(100, np.float32)
    np.testing.assert_array_equal(xdevice.run(saxpy, 100, 2.0, ramp(), given, global_size=(128,)), expected)
    np.testing.assert_array_equal(given, 1)
    function = xdevice.compile(saxpy)
    assert str(function.artifact.signature) == "saxpy(n: u32, alpha: f32, x: const f32 *, y: f32 *)"
    assert "alpha * x[i]" in function.artifact.opencl_source
    y = xdevice.array(given)
    for times in (1, 2):
        function(100, 2.0, ramp(), y, global_size=128, local_size=(64,))
        np.testing.assert_array_equal(y, 1 + times * 2 * ramp())
    assert function.time(100, 0.0, ramp(), y, global_size=128, number=2, repeat=3).repeat == 3
    loaded = xdevice.load(build(saxpy, "opencl").save(tmp_path / "saxpy.cl"))
    loaded(np.uint32(100), np.float32(-4), x=ramp(), y=y, global_size=(128,))
    np.testing.assert_array_equal(y, given)


def test_kernels_of_one_file_and_offsets(xdevice: Device) -> None:
    expected = ramp()
    expected[10:30] *= 2
    np.testing.assert_array_equal(xdevice.run(twice, ramp(), global_size=20, offset=10), expected)


ARGUMENTS = """
typedef float real;
typedef real real4 __attribute__((ext_vector_type(4)));
typedef struct { int first; float second; } pair;
__constant int shift = 1;
__kernel void many(__global real *out, __constant uchar *bytes, float4 v, int3 w, short s, ulong big, __local real *tmp,
                   __global const pair *pairs, __global float4 *vectors, real last, __global void *bytes_of) {
    int k = get_local_id(0), i = get_global_id(0);
    tmp[k] = bytes[i] + shift;
    barrier(CLK_LOCAL_MEM_FENCE);
    out[i] = tmp[get_local_size(0) - 1 - k] + v.x + 10 * v.w + w.z + s + (float)(big >> 40) + last;
    out[i] += pairs[0].first + pairs[0].second;
    vectors[i] = v * i;
    ((__global int *)bytes_of)[i] = i;
}
"""


@pytest.mark.parametrize("memory", [16, local(f32, 2, 2)], ids=["bytes", "local"])
def test_every_kind_of_argument(xdevice: Device, memory: Any) -> None:
    many = opencl_kernel(ARGUMENTS, "many")
    signature = str(xdevice.compile(many).artifact.signature)
    assert "tmp: local f32 *, pairs: const void *, vectors: f32 *, last: f32, bytes_of: void *" in signature
    pairs = np.zeros(1, np.dtype([("first", np.int32), ("second", np.float32)]))
    pairs["first"], pairs["second"] = 100, 0.5
    out, vectors, anything = xdevice.run(
        many, np.zeros(8, np.float32), np.arange(8, dtype=np.uint8), (1, 2, 3, 4), np.array([5, 6, 7], np.int32), -1,
        3 << 40, memory, pairs.view(np.uint8), np.zeros((8, 4), np.float32), 0.25, np.zeros(8, np.int32),
        global_size=(8,), local_size=(4,),
    )  # fmt: skip
    index = np.array([3, 2, 1, 0, 7, 6, 5, 4])
    np.testing.assert_array_equal(out, index + 1 + 1 + 40 + 7 - 1 + 3 + 0.25 + 100.5)
    np.testing.assert_array_equal(vectors, np.arange(8)[:, None] * np.arange(1, 5, dtype=np.float32))
    np.testing.assert_array_equal(anything, np.arange(8))


def test_structures_by_value(xdevice: Device) -> None:
    text = """typedef struct { char kind; int count; float by[2]; } pair;
    __kernel void add(__global float *x, const pair p) { if (p.kind == 3) x[p.count] += p.by[0] + p.by[1]; }"""
    add = opencl_kernel(text, "add")
    layout = np.dtype([("kind", np.int8), ("count", np.int32), ("by", np.float32, 2)], align=True)
    pair = np.array((3, 1, (0.5, 2)), layout)
    for given in (pair, pair[()], pair.tobytes()):
        np.testing.assert_array_equal(xdevice.run(add, ramp(3), given, global_size=1), [0, 3.5, 2])
    with pytest.raises(ArgumentError, match="add: p: expected a structure of 16 bytes, got bytes of 3 bytes"):
        xdevice.run(add, ramp(3), b"abc", global_size=1)
    with pytest.raises(ArgumentError, match="add: p: expected a structure of 16 bytes, got int: pass"):
        xdevice.run(add, ramp(3), 3, global_size=1)


def test_files_macros_and_includes(xdevice: Device, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "step.h").write_text('#pragma once\n#include "type.h"\n#define STEP ((T)HOW_MUCH)\n')
    (tmp_path / "inner" / "type.h").write_text("typedef float T;\n")
    (tmp_path / "add.cl").write_text(
        '#include "step.h"\n#include "step.h"\n'
        "#define KERNEL(name) __kernel void name(__global T *x)\n"
        "KERNEL(add) { x[get_global_id(0)] += STEP * MORE; }\n"
    )
    add = opencl_kernel(
        tmp_path / "add.cl", "add", defines={"HOW_MUCH": 3}, options=["-DMORE=2"], include_dirs=[tmp_path / "inner"]
    )
    np.testing.assert_array_equal(xdevice.run(add, ramp(), global_size=100), ramp() + 6)
    (tmp_path / "inner" / "step.h").write_text("typedef float T;\n#define STEP 1\n")
    np.testing.assert_array_equal(xdevice.run(add, ramp(), global_size=100), ramp() + 2)


@pytest.mark.parametrize("how", ["-I{}", "-I {}", "-I|{}", "include_dirs"])
def test_folders_of_this_host_are_looked_into_for_either_form_of_include(
    xdevice: Device, tmp_path: Path, how: str
) -> None:
    (tmp_path / "step.h").write_text("#define STEP 3\n")
    text = "#include <step.h>\n__kernel void add(__global float *x) { x[get_global_id(0)] += STEP; }\n"
    options = how.format(tmp_path).split("|") if "{}" in how else []
    add = opencl_kernel(text, "add", options=options, include_dirs=[] if options else [tmp_path])
    assert add.opencl_program().build_options == ()
    np.testing.assert_array_equal(xdevice.run(add, ramp(), global_size=100), ramp() + 3)


def test_a_folder_that_only_the_device_may_have_is_left_to_it() -> None:
    kernel = opencl_kernel(SAXPY, "saxpy", options=["-I", "/there/alone", "-DN=1"])
    assert kernel.opencl_program().build_options == ("-I", "/there/alone", "-DN=1")


def test_it_is_run_on_a_device_alone() -> None:
    kernel = opencl_kernel("__kernel void f(__global float *x) { }", "f")
    with pytest.raises(ArgumentError, match=r"^f is a kernel in OpenCL C, which cannot be interpreted"):
        kernel.python()
    with pytest.raises(TypeError, match=r"^kernel f is not called directly"):
        kernel()


def test_a_demanded_work_group_is_taken(xdevice: Device) -> None:
    text = """__kernel __attribute__((reqd_work_group_size(4, 2, 1))) void where(__global int *x) {
        x[get_global_id(1) * get_global_size(0) + get_global_id(0)] = get_local_size(0) * 10 + get_local_size(1); }"""
    where = opencl_kernel(text, "where")
    np.testing.assert_array_equal(xdevice.run(where, np.zeros((4, 8), np.int32), global_size=(8, 4)), 42)
    with pytest.raises(ArgumentError, match=r"demands work-groups of \(4, 2\), and local_size is \(8, 2\)"):
        xdevice.run(where, np.zeros((4, 8), np.int32), global_size=(8, 4), local_size=(8, 2))


class TestMistakes:
    @pytest.mark.parametrize("name", ["options", "include_dirs"])
    def test_one_string_instead_of_several(self, name: str) -> None:
        with pytest.raises(ArgumentError, match=rf"{name}='-DA=1': give a sequence, as in {name}=\['-DA=1'\]"):
            opencl_kernel(SAXPY, "saxpy", **{name: "-DA=1"})  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [
            ({}, r"saxpy: say how many work-items there are: global_size=\(1024,\)"),
            ({"global_size": 0}, "global_size must be a positive integer, or a tuple of one to three"),
            ({"global_size": (4, 4, 4, 4)}, "global_size must be a positive integer"),
            ({"global_size": 8, "local_size": (2, 2)}, r"global_size=\(8,\) and local_size=\(2, 2\) have different"),
            ({"global_size": 8, "offset": -1}, "offset must be an integer of 0 or more"),
            ({"global_size": 1 << 24, "local_size": 1 << 20}, "local_size .* has 1048576 work-items along axis 0"),
            ({"global_size": 8, "block": 4}, "only kernels in Python have loops"),
        ],
        ids=str,
    )
    def test_sizes(self, xdevice: Device, sizes: dict[str, Any], message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            xdevice.run(saxpy, 8, 1.0, ramp(8), ramp(8), **sizes)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((8, 1.0, ramp(8)), r"saxpy takes 4 arguments, and got 3: it is saxpy\(n: u32, alpha: f32"),
            ((8.5, 1.0, ramp(8), ramp(8)), "saxpy: n: expected an integer"),
            ((8, 1.0, ramp(8).astype(np.float64), ramp(8)), "saxpy: x: expected float32, got float64"),
        ],
        ids=["count", "scalar", "dtype"],
    )
    def test_arguments(self, xdevice: Device, arguments: tuple[Any, ...], message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            xdevice.run(saxpy, *arguments, global_size=8)

    def test_vectors_and_local_memory(self, xdevice: Device) -> None:
        text = "__kernel void k(__global int *x, float2 v, __local int *t) { t[0] = x[0]; x[0] = v.x; }"
        function = xdevice.compile(opencl_kernel(text, "k"))
        x = xdevice.array(np.zeros(4, np.int32))
        for arguments, message in (
            ((x, 3.0, 4), r"k: v: expected 2 numbers \(f32x2\), got 3.0"),
            ((x, (1, 2, 3), 4), "k: v: expected 2 numbers"),
            ((x, (1, 2), 0), "k: t: expected the size of a work-group's local memory"),
            ((x, (1, 2), np.zeros(4)), "pass a positive number of bytes, or local"),
        ):
            with pytest.raises(ArgumentError, match=message):
                function(*arguments, global_size=1)
        limit = (
            r"^\S*test_opencl_c\.py:\d+: k needs 429496729[67] bytes of local memory for each work-group.*, and .* has"
        )
        with pytest.raises(ArgumentError, match=limit):
            function(x, (1, 2), 1 << 32, global_size=1)
        function(x, (1, 2), 4, global_size=1)

    def test_more_local_memory_than_there_is(self, xdevice: Device) -> None:
        text = """__kernel void big(__global float *x) {
            __local float t[1 << 22]; t[get_local_id(0)] = x[0]; barrier(CLK_LOCAL_MEM_FENCE); x[1] = t[0]; }"""
        with pytest.raises((ArgumentError, CompileError), match=r"16777216 bytes of local memory|0x100000"):
            xdevice.run(opencl_kernel(text, "big"), ramp(), global_size=1)
        np.testing.assert_array_equal(xdevice.run(twice, ramp(), global_size=100), 2 * ramp())

    def test_a_program_that_does_not_build(self, xdevice: Device, tmp_path: Path) -> None:
        path = tmp_path / "wrong kernel.cl"
        path.write_text("// a comment\n__kernel void wrong(__global float *x) {\n\tx[0] = undefined;\n}\n")
        with pytest.raises(CompileError) as error:
            xdevice.run(opencl_kernel(path, "wrong"), ramp(), global_size=1)
        message = str(error.value).expandtabs()
        assert f"{path}:3:9: error: use of undeclared identifier 'undefined'\n        x[0] = undefined;\n" in message

    def test_an_entry_that_is_not_there(self, xdevice: Device) -> None:
        with pytest.raises(CompileError, match=r"^\S*test_opencl_c\.py: nothing: the program has no kernel 'nothing'"):
            xdevice.compile(opencl_kernel(SAXPY, "nothing"))

    def test_a_file_that_is_not_there(self, xdevice: Device) -> None:
        with pytest.raises(CompileError, match=r"test_opencl_c\.py:\d+: cannot read kernels/nothing\.cl: No such file"):
            xdevice.compile(opencl_kernel("kernels/nothing.cl", "nothing"))

    @pytest.mark.parametrize(
        ("parameter", "message"),
        [
            (
                "read_only image2d_t p",
                r"^k\.cl:1: k: parameter p is an image: only buffers live on a device",
            ),
            ("sampler_t p", "parameter p is a sampler"),
        ],
    )
    def test_parameters_that_a_test_cannot_give(self, xdevice: Device, parameter: str, message: str) -> None:
        text = f"__kernel void k(__global int *x, {parameter}) {{ x[0] = 1; }}"
        with pytest.raises(CompileError, match=message):
            xdevice.compile(opencl_kernel(text, "k"))

    @pytest.mark.cpu
    def test_a_lane_that_is_not_for_it(self, xdevice: Device) -> None:
        if xdevice.kind == "cpu":
            with pytest.raises(ArgumentError, match=r"saxpy is a kernel in OpenCL C.*mark the test with @pytest\.mark"):
                xdevice.compile(saxpy)
