"""Kernels that end their process in every way there is: what a user is told, and that the next launch works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import KernelCrash
from pytest_xdevice import KernelTimeout
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.remote import Device
from tests.faults.kernels import add_one
from tests.toolchain.text_kernel import TextKernel

pytestmark = pytest.mark.cpu
n = dim("n")


def native(name: str, body: str, declarations: str = "") -> TextKernel:
    """Return a kernel without arguments of the given LLVM instructions."""
    text = f"define i64 @xd_{name}(ptr %args) {{\n{body}\n  ret i64 0\n}}\n{declarations}"
    return TextKernel(text, Signature(name, ()))


def crash_of(xdevice: Device, source: TextKernel) -> KernelCrash:
    """Return what a kernel ends with, after another one has run."""
    with pytest.raises(KernelCrash) as caught:
        xdevice.run(source)
    np.testing.assert_array_equal(xdevice.run(add_one, np.zeros(5, np.float32)), np.ones(5))
    assert caught.value.kernel == source.signature.name
    return caught.value


SIGNALS = {"SIGILL": 4, "SIGABRT": 6, "SIGBUS": 7, "SIGFPE": 8, "SIGKILL": 9, "SIGSEGV": 11, "SIGTERM": 15}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_named(xdevice: Device, name: str) -> None:
    source = native("signalled", f"  call i32 @raise(i32 {SIGNALS[name]})", "declare i32 @raise(i32)")
    crash = crash_of(xdevice, source)
    assert crash.signal == name
    assert f"signalled crashed with {name} on {xdevice.name} cpu" in str(crash)
    # Of those whose handler looks, no address is told that is none.
    assert ("raise() or kill() sent it" in str(crash)) == (name in ("SIGILL", "SIGBUS", "SIGFPE", "SIGSEGV"))


@pytest.mark.parametrize("code", [0, 3])
def test_exit_is_told_from_a_signal(xdevice: Device, code: int) -> None:
    crash = crash_of(xdevice, native("leaves", f"  call void @exit(i32 {code})", "declare void @exit(i32)"))
    assert crash.signal is None
    assert f"leaves left its process with exit status {code}" in str(crash)
    assert "exit() was called" in str(crash)


def test_abort(xdevice: Device) -> None:
    crash = crash_of(xdevice, native("aborts", "  call void @abort()", "declare void @abort()"))
    assert crash.signal == "SIGABRT"
    assert "abort() was called" in str(crash)


@pytest.mark.parametrize("address", [0, 64])
def test_a_null_pointer(xdevice: Device, address: int) -> None:
    body = f"  %p = inttoptr i64 {address} to ptr\n  store volatile i32 1, ptr %p"
    crash = crash_of(xdevice, native("through_null", body))
    assert crash.signal == "SIGSEGV"
    assert f"address {address:#x}: a null pointer" in str(crash)


def test_memory_that_could_not_be_had(xdevice: Device) -> None:
    bits = xdevice.session.target.bits
    source = native(
        "hungry",
        f"  %p = call ptr @malloc(i{bits} -1)\n  store volatile i32 1, ptr %p",
        f"declare ptr @malloc(i{bits})",
    )
    assert "a null pointer" in str(crash_of(xdevice, source))


DEEPER = """
define internal i64 @deeper(i64 %level) noinline optnone {
  %frame = alloca [512 x i64]
  store volatile i64 %level, ptr %frame
  %next = add i64 %level, 1
  %below = call i64 @deeper(i64 %next)
  %own = load volatile i64, ptr %frame
  %sum = add i64 %own, %below
  ret i64 %sum
}"""


def test_a_stack_that_overflows(xdevice: Device) -> None:
    crash = crash_of(xdevice, native("bottomless", "  call i64 @deeper(i64 0)", DEEPER))
    assert crash.signal == "SIGSEGV"
    assert "its stack overflowed" in str(crash)


def test_memory_far_from_every_argument(xdevice: Device) -> None:
    @kernel
    def write_far_away(a: In[f32, n], b: Out[f32, n]) -> None:
        for i in parallel(n):
            b[i + 100000000] = a[i]

    with pytest.raises(KernelCrash, match=r"SIGSEGV on .*: it \w+ address 0x\w+, \d+ bytes .* argument [ab] \(index "):
        xdevice.run(write_far_away, np.ones(8, np.float32))


BLOCK = """
declare i32 @sigfillset(ptr)
declare i32 @sigprocmask(i32, ptr, ptr)"""


def test_a_loop_that_blocks_every_signal_is_ended_all_the_same(
    xdevice: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_xdevice.client.GRACE_SECONDS", 0.5)
    body = (
        "  %set = alloca [128 x i8]\n  call i32 @sigfillset(ptr %set)\n"
        "  call i32 @sigprocmask(i32 0, ptr %set, ptr null)\n  br label %again\nagain:\n"
        "  store volatile i32 1, ptr %set\n  br label %again\nnever:"
    )
    with pytest.raises(
        KernelTimeout, match=r"deaf ran longer than 0\.2 s on .*, or the link to it stood still, and was ended there"
    ):
        xdevice.run(native("deaf", body, BLOCK), timeout=0.2)
    np.testing.assert_array_equal(xdevice.run(add_one, np.zeros(5, np.float32)), np.ones(5))


def test_what_was_printed_before_a_crash(xdevice: Device, capsys: pytest.CaptureFixture[str]) -> None:
    declarations = (
        '@text = constant [13 x i8] c"so far so go\\00"\ndeclare i32 @printf(ptr, ...)\ndeclare void @abort()'
    )
    source = native("talks", "  call i32 (ptr, ...) @printf(ptr @text)\n  call void @abort()", declarations)
    crash: Any = crash_of(xdevice, source)
    assert "so far so go" in str(crash)
    assert "so far so go" in capsys.readouterr().out
