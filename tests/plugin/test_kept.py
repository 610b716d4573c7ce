"""What failing tests leave with --xdevice-artifacts, and that it can be run again by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MODULE = '''
import numpy as np
import pytest
from kernels import add_one
from pytest_xdevice import c_kernel
from pytest_xdevice import f32
from pytest_xdevice import local
from pytest_xdevice import opencl_kernel

scale = c_kernel(
    "void scale(int n, float a, float *x) { for (int i = 0; i < n; i++) x[i] *= a; }",
    "void scale(int n, float a, float *x)",
)
crash = c_kernel("#include <stdlib.h>\\nvoid crash(float *x) { abort(); }", "void crash(float *x)")

def test_in_c(xdevice):
    xdevice.run(scale, 1, 1.0, np.float32([8]))
    assert xdevice.run(scale, 2, 3.0, np.float32([1, 2])).tolist() == [0, 0]

def test_in_python(xdevice):
    a = xdevice.array(np.ones(3, np.float32))
    b = xdevice.empty(3, np.float32)
    xdevice.compile(add_one)(a, b)
    assert b.numpy().tolist() == []

def test_crash(xdevice):
    xdevice.compile(crash)(xdevice.array(np.ones(3, np.float32)))

@pytest.mark.opencl
def test_in_opencl_c(xdevice):
    text = """__kernel void turn(__global float *x, __local float *t, float2 v) {
        t[get_local_id(0)] = x[get_global_id(0)]; barrier(CLK_LOCAL_MEM_FENCE);
        x[get_global_id(0)] = t[3 - get_local_id(0)] + v.y; }"""
    x = np.arange(4, dtype=np.float32)
    turned = xdevice.run(opencl_kernel(text, "turn"), x, local(f32, 4), (0, 1), global_size=4, local_size=4)
    assert turned.tolist() == []

def test_that_removes_its_sources(xdevice, tmp_path):
    for number in (1, 2):
        (tmp_path / "one.c").write_text(f"int one(void) {{ return {number}; }}")
        assert xdevice.run(c_kernel(tmp_path / "one.c", "int one(void)")) == number
    (tmp_path / "one.c").unlink()
    assert False

def test_that_passes(xdevice):
    xdevice.run(scale, 1, 1.0, np.float32([8]))

def test_that_launches_nothing(xdevice):
    assert False
'''


@pytest.fixture
def kept(add_one: pytest.Pytester) -> Path:
    """Return the folder that a run of `MODULE` left."""
    add_one.makepyfile(test_it=MODULE)
    result = add_one.runpytest_subprocess("--xdevice-artifacts=out")
    result.assert_outcomes(passed=1, failed=6)
    result.stdout.fnmatch_lines(["kept       *out/test_it.py-test_in_c[[]cpu[]]"])
    return add_one.path / "out"


def test_each_failing_test_has_a_folder_with_its_kernels(kept: Path) -> None:
    assert sorted(each.name for each in kept.iterdir()) == [
        "test_it.py-test_crash[cpu]",
        "test_it.py-test_in_c[cpu]",
        "test_it.py-test_in_opencl_c[opencl]",
        "test_it.py-test_in_python[cpu]",
        "test_it.py-test_that_removes_its_sources[cpu]",
    ]
    in_c = {each.name for each in (kept / "test_it.py-test_in_c[cpu]" / "scale").iterdir()}
    assert in_c == {
        "1.c", "1.o", "README.md", "a.npy", "commands.txt", "entry.ll", "entry.o", "kernel-scale.so", "n.npy",
        "rerun.py", "scale.ll", "scale.s", "x.npy",
    }  # fmt: skip
    in_python = {each.name for each in (kept / "test_it.py-test_in_python[cpu]" / "add_one").iterdir()}
    assert in_python == {
        "README.md", "a.npy", "add_one.ll", "add_one.s", "b.npy", "kernel-add_one.so", "rerun.py",
    }  # fmt: skip


def test_kernels_of_one_name_and_of_removed_sources_are_kept(kept: Path) -> None:
    one, other = (kept / "test_it.py-test_that_removes_its_sources[cpu]" / name for name in ("one", "one-2"))
    assert (one / "1.c").read_text() == "int one(void) { return 1; }"
    assert (other / "1.c").read_text() == "int one(void) { return 2; }"
    assert "one.c" in (one / "one.s.txt").read_text()
    assert (one / "kernel-one.so").exists()


def test_the_arguments_are_those_of_the_last_launch(kept: Path) -> None:
    folder = kept / "test_it.py-test_in_c[cpu]" / "scale"
    np.testing.assert_array_equal(np.load(folder / "x.npy"), np.float32([1, 2]))
    assert np.load(folder / "a.npy") == 3.0
    assert np.load(kept / "test_it.py-test_in_python[cpu]" / "add_one" / "b.npy").tolist() == [2, 2, 2]


def test_the_scripts_run_the_kernels_again(kept: Path) -> None:
    for name, printed in (
        ("test_in_c[cpu]/scale", "x [3. 6.]"),
        ("test_in_python[cpu]/add_one", "b [2. 2. 2.]"),
        ("test_in_opencl_c[opencl]/turn", "x [4. 3. 2. 1.]"),
    ):
        script = kept / f"test_it.py-{name}" / "rerun.py"
        said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
        assert printed in said


def test_the_commands_make_the_objects_again(kept: Path) -> None:
    folder = kept / "test_it.py-test_in_c[cpu]" / "scale"
    before = (folder / "1.o").read_bytes()
    (folder / "1.o").unlink()
    subprocess.run(["sh", "commands.txt"], cwd=folder, check=True)
    assert (folder / "1.o").read_bytes() == before
    (folder / "kernel.so").replace(folder / "kernel-scale.so")
    said = subprocess.run([sys.executable, "rerun.py"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "x [3. 6.]" in said
