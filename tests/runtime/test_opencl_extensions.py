"""A program that needs what the device has not is refused with the name of that."""

from __future__ import annotations

from pytest_xdevice import atomic_add
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice.runtime.opencl_programs import missing_extensions


@kernel
def wide(a: InOut[i64, 1], b: InOut[f64, 1]):
    atomic_add(a[0], 1)
    b[0] = 2


@kernel
def narrow(a: InOut[i32, 1], b: InOut[f32, 1]):
    atomic_add(a[0], 1)
    b[0] = 2


def test_what_a_program_turns_on_must_be_there() -> None:
    source = wide.opencl_program().source
    assert missing_extensions(source, ["cl_khr_fp64", "cl_khr_int64_base_atomics"]) == []
    assert missing_extensions(source, ["cl_khr_fp64"]) == ["cl_khr_int64_base_atomics"]
    assert missing_extensions(source, []) == ["cl_khr_fp64", "cl_khr_int64_base_atomics"]


def test_32_bits_need_nothing() -> None:
    assert missing_extensions(narrow.opencl_program().source, []) == []


def test_a_program_may_ask_for_itself_what_there_is() -> None:
    source = "#ifdef cl_khr_fp64\n#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n#endif\n"
    assert missing_extensions(source, []) == []
