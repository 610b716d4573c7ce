"""What is compiled, and when it is compiled again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_xdevice import c_kernel
from pytest_xdevice.compile import build
from pytest_xdevice.compile import Compiler
from pytest_xdevice.toolchain import c_objects
from pytest_xdevice.toolchain.elf import ElfFile
from pytest_xdevice.toolchain.elf import EM_RISCV

TARGET = "aarch64-linux-gnu"
ADD = "void add(int n, float *x)\n{\n    for (int i = 0; i < n; i++)\n        x[i] += FACTOR;\n}\n"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths of what is compiled from now on."""
    seen: list[str] = []
    real = c_objects.compile_unit

    def counted(compiler: object, unit: c_objects.Unit, target: object) -> object:
        seen.append(unit.path)
        return real(compiler, unit, target)  # type: ignore[arg-type]

    monkeypatch.setattr(c_objects, "compile_unit", counted)
    return seen


def test_a_changed_header_compiles_anew_and_the_old_one_is_remembered(tmp_path: Path, compilations: list[str]) -> None:
    header, source = tmp_path / "factor.h", tmp_path / "add.c"
    header.write_text("#define FACTOR 1.0f\n")
    source.write_text(f'#include "factor.h"\n{ADD}')
    kernel = c_kernel(source, "void add(int n, float *x)")
    compiler = Compiler(tmp_path / "cache")
    first = compiler.build(kernel, TARGET)
    assert compiler.build(kernel, TARGET) is first
    header.write_text("#define FACTOR 2.0f\n")
    os.utime(header, ns=(1, 1))  # a time that says nothing
    second = compiler.build(kernel, TARGET)
    assert second.key != first.key
    assert len(compilations) == 2
    header.write_text("#define FACTOR 1.0f\n")
    assert compiler.build(kernel, TARGET).key == first.key
    assert len(compilations) == 2
    header.write_text("#define FACTOR 2.0f\n")
    again = Compiler(tmp_path / "cache").build(c_kernel(source, "void add(int n, float *x)"), TARGET)
    assert again.key == second.key
    assert len(compilations) == 2


def test_flags_macros_and_targets_are_part_of_what_is_remembered(tmp_path: Path) -> None:
    compiler = Compiler(tmp_path / "cache")
    keys = {
        compiler.build(
            c_kernel(ADD, "void add(int n, float *x)", defines={"FACTOR": factor}, flags=flags), target
        ).key
        for factor in (1, 2)
        for flags in ([], ["-O0"])
        for target in (TARGET, "riscv64-linux-gnu")
    }  # fmt: skip
    assert len(keys) == 8


def test_include_directories_are_found_from_the_calling_file(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "factor.h").write_text("#define FACTOR 3\n")
    kernel = c_kernel(
        f"#include <factor.h>\n{ADD}", "void add(int n, float *x)", include_dirs=[tmp_path / "include"]
    )  # fmt: skip
    assert build(kernel, TARGET).object


def test_the_listings_are_those_of_the_target() -> None:
    kernel = c_kernel(ADD, "void add(int n, float *x)", defines={"FACTOR": 1})
    artifact = build(kernel, "riscv64-linux-gnu")
    assert ElfFile(artifact.object).machine == EM_RISCV
    assert "x[i] += FACTOR" in artifact.source
    assert "fadd.s" in artifact.assembly
    assert "define" in artifact.llvm_ir
    assert "@add(" in artifact.llvm_ir


def test_functions_of_the_math_library_are_linked_as_everywhere(tmp_path: Path) -> None:
    kernel = c_kernel("#include <math.h>\nfloat f(float x) { return expf(sinf(x)); }\n", "float f(float x)")
    assert ElfFile(build(kernel, "aarch64-linux-gnu").object).needed == ("libm.so.6",)


def test_a_processor_that_the_user_chooses_stands_instead_of_the_targets() -> None:
    text = "#ifndef __ARM_NEON\n#error no NEON\n#endif\nvoid f(void) { }\n"
    assert build(
        c_kernel(text, "void f(void)", flags=["-march=armv7-a", "-mfpu=neon"]), "armv7l-linux-gnueabihf"
    ).object  # fmt: skip


def test_vector_extensions_are_those_of_the_target() -> None:
    text = "#ifndef __AVX2__\n#error no AVX2\n#endif\n#include <immintrin.h>\nvoid f(void) { }\n"
    assert build(c_kernel(text, "void f(void)"), "llvm -mtriple=x86_64-linux-gnu -mcpu=haswell").object
    text = "#ifndef __riscv_vector\n#error no RVV\n#endif\n#include <riscv_vector.h>\nvoid f(void) { }\n"
    assert build(c_kernel(text, "void f(void)"), "llvm -mtriple=riscv64-linux-gnu -mattr=+v").object


def test_assembly_is_a_source_as_well(tmp_path: Path) -> None:
    (tmp_path / "seven.S").write_text(".globl seven\n.type seven, %function\nseven:\n  mov w0, #7\n  ret\n")
    assert build(c_kernel(tmp_path / "seven.S", "int seven(void)"), TARGET).object
