"""LLVM ends its process at what it calls a fatal error; the run of tests goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pytest_xdevice.compile import Compiler
from pytest_xdevice.errors import CompileError
from pytest_xdevice.toolchain import llvm
from tests.toolchain.text_kernel import SCALE
from tests.toolchain.text_kernel import TextKernel

# LLVM has no parser of assembly for a foreign machine here, and aborts.
FATAL = SCALE + 'define void @fatal() {\n  call void asm sideeffect "nop", ""()\n  ret void\n}\n'


def test_a_fatal_error_in_llvm_is_a_compile_error_and_the_next_build_works(fresh: Compiler) -> None:
    with pytest.raises(CompileError, match=r"kernel 'scale' for .*ended with signal 6: LLVM ERROR: Inline asm"):
        fresh.build(TextKernel(FATAL), "aarch64-linux-gnu")
    assert fresh.build(TextKernel(), "aarch64-linux-gnu").is_linked


def test_a_failed_build_is_not_remembered(fresh: Compiler) -> None:
    source = TextKernel(FATAL)
    for _ in range(2):
        with pytest.raises(CompileError, match="LLVM ERROR"):
            fresh.build(source, "aarch64-linux-gnu")


def test_a_compiler_process_that_was_killed_between_builds_is_replaced(fresh: Compiler) -> None:
    process = llvm.shared()
    first = process.ping()
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)  # it has ended, and is left for its owner to reap
    assert fresh.build(TextKernel(), "aarch64-linux-gnu").is_linked
    assert process.ping() != first


def test_a_whole_run_survives_a_fatal_error(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makepyfile(
        test_it=f"""
        import pytest
        from pytest_xdevice.compile import build
        from pytest_xdevice.errors import CompileError
        from tests.toolchain.text_kernel import TextKernel

        def test_before():
            assert build(TextKernel(), "aarch64-linux-gnu", cache_directory="cache").is_linked

        def test_fatal():
            build(TextKernel({FATAL!r}), "aarch64-linux-gnu", cache_directory="cache")

        def test_after():
            assert build(TextKernel(), "riscv64-linux-gnu", cache_directory="cache").is_linked
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", f"--rootdir={pytester.path}")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["E*CompileError: kernel 'scale' for *LLVM ERROR: Inline asm*"])
