"""Every C compiler of this host, on kernels that run here: a loop, the math library, the processor, the C++ library."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import c_kernel
from pytest_xdevice import CompileError
from pytest_xdevice.compile import Compiler
from pytest_xdevice.remote import Device
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain import c_compiler
from pytest_xdevice.toolchain import parts
from pytest_xdevice.toolchain.c_compiler import CCompiler
from pytest_xdevice.toolchain.c_compiler import Gcc
from pytest_xdevice.toolchain.c_compiler import HostClang
from pytest_xdevice.toolchain.c_compiler import ZigClang
from pytest_xdevice.toolchain.find_c_compilers import find_c_compilers
from pytest_xdevice.toolchain.gcc_options import processor_options

pytestmark = pytest.mark.cpu
COMPILERS = [each for each in find_c_compilers() if each.serves(Target.host())]


@pytest.fixture(params=COMPILERS, ids=lambda each: type(each).__name__)
def compiler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, xdevice: Device) -> CCompiler:
    """Have every kernel be compiled by one of this host's compilers."""
    chosen: CCompiler = request.param
    if not isinstance(xdevice.target, Target) or not chosen.serves(xdevice.target):
        pytest.skip("the device is another machine than this host")
    monkeypatch.setattr(parts, "find_c_compilers", lambda: (chosen,))
    return chosen


def test_a_loop_and_the_math_library(compiler: CCompiler, xdevice: Device) -> None:
    kernel = c_kernel(
        "#include <math.h>\nvoid roots(int n, float *x) { for (int i = 0; i < n; i++) x[i] = cbrtf(x[i]); }\n",
        "void roots(int n, float *x)",
    )
    np.testing.assert_allclose(xdevice.run(kernel, 3, np.float32([1, 8, 27])), [1, 2, 3], rtol=1e-6)
    artifact = xdevice.compile(kernel).artifact
    assert "roots" in artifact.assembly
    assert bool(artifact.llvm_ir) == compiler.emits_llvm


def test_the_processor_is_the_devices(compiler: CCompiler, xdevice: Device) -> None:
    kernel = c_kernel(
        "int widest(void) {\n#if defined(__AVX512F__)\nreturn 512;\n#elif defined(__AVX2__)\nreturn 256;\n#else\n"
        "return 0;\n#endif\n}\n",
        "int widest(void)",
    )
    assert isinstance(xdevice.target, Target)
    features = xdevice.target.features
    expected = 512 if "+avx512f" in features else 256 if "+avx2" in features else 0
    assert xdevice.run(kernel) == expected


def test_a_mistake_is_told_by_the_compiler(compiler: CCompiler, xdevice: Device) -> None:
    with pytest.raises(CompileError, match=r"test_c_compilers.py:\d+:\d+: error:"):
        xdevice.run(c_kernel("void f(void) { return 1 +; }\n", "void f(void)"))
    with pytest.raises(CompileError, match=r"the prototype does not agree"):
        xdevice.run(c_kernel("void f(int n, float *x) { }\n", "void f(int n, const float *x)"), 1, np.float32([1]))


def test_functions_that_their_file_keeps_to_itself(compiler: CCompiler, xdevice: Device) -> None:
    text = (
        "static int s(int a) { return a + 1; }\nstatic inline int t(int a) { return s(a) + 1; }\n"
        "inline int u(int a) { return a; }\n"
    )
    for name, expected in (("s", 8), ("t", 9), ("u", 7)):
        assert xdevice.run(c_kernel(text, f"int {name}(int a)"), 7) == expected
    pair = "struct pair { int a; };\n"
    first = c_kernel(f"{pair}inline int u(struct pair *p) {{ return p->a; }}", f"{pair}int u(struct pair *p)")
    assert xdevice.run(first, np.int32([5]))[-1] == 5


# Zig builds the library of C++ at its first use, which takes minutes.
@pytest.mark.parametrize(
    "compiler",
    [each for each in COMPILERS if not isinstance(each, ZigClang)],
    ids=lambda each: type(each).__name__,
    indirect=True,
)
def test_the_library_of_cpp(compiler: CCompiler, xdevice: Device) -> None:
    kernel = c_kernel(
        "#include <algorithm>\n#include <vector>\n"
        'extern "C" void sorted(int n, int *x) { std::vector<int> v(x, x + n); std::sort(v.begin(), v.end());'
        " std::copy(v.begin(), v.end(), x); }",
        "void sorted(int n, int *x)",
    )
    np.testing.assert_array_equal(xdevice.run(kernel, 3, np.int32([3, 1, 2])), [1, 2, 3])


def test_without_a_compiler_the_message_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "find_c_compilers", lambda: (HostClang("clang"), Gcc("gcc", "x86_64-linux-gnu")))
    with pytest.raises(
        CompileError, match=r"no C compiler for aarch64-unknown-linux-gnu .*'pytest-xdevice\[toolchain\]"
    ):
        Compiler().build(c_kernel("void f(void) { }\n", "void f(void)"), "aarch64-linux-gnu")


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a53 -mattr=+crc,-aes", ["-mcpu=cortex-a53+crc+noaes"]),
        ("llvm -mtriple=aarch64-linux-gnu -mattr=+dotprod", ["-march=armv8-a+dotprod"]),
        ("armv7l-linux-gnueabihf", ["-march=armv7-a", "-mfpu=vfpv3-d16", "-mfloat-abi=hard"]),
        ("llvm -mtriple=armv7l-linux-gnueabihf -mattr=+neon", ["-march=armv7-a", "-mfpu=neon", "-mfloat-abi=hard"]),
        ("llvm -mtriple=riscv64-linux-gnu -mattr=+v", ["-march=rv64gcv"]),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell -mattr=-avx2", ["-march=haswell", "-mno-avx2"]),
    ],
)
def test_what_gcc_is_told_of_a_processor(target: str, options: list[str]) -> None:
    assert processor_options(Target.parse(target), lambda given: True) == options


def test_a_clang_without_headers_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clang = tmp_path / "clang"
    clang.write_text('#!/bin/sh\ncase "$*" in *stddef.h*) echo "\'stddef.h\' file not found" >&2; exit 1;; esac\n')
    clang.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert HostClang(str(clang)) not in find_c_compilers.__wrapped__()


@pytest.mark.skipif(not any(isinstance(each, ZigClang) for each in COMPILERS), reason="ziglang is not installed")
def test_headers_of_a_zig_below_the_working_directory_are_found_from_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    zig = next(each for each in COMPILERS if isinstance(each, ZigClang))
    monkeypatch.chdir(Path(zig.program).parent.parent)
    c_compiler._zig_headers.cache_clear()
    words = zig.command(Target.host(), "c", [])
    folders = [Path(value) for option, value in pairwise(words) if option == "-isystem"]
    assert folders
    assert all(folder.is_absolute() for folder in folders)
