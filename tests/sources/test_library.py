"""Prebuilt libraries that do not fit: another architecture, another ABI, no such function."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_xdevice import CompileError
from pytest_xdevice import library_kernel
from pytest_xdevice.compile import build
from pytest_xdevice.target import Target
from tests.sources.native import object_of
from tests.sources.native import shared_library
from tests.sources.native import static_library

APPLY = "int counter = 0;\nvoid apply(int n, float *x) { x[0] = n; }\nvoid apply_all(int n, float *x) { x[1] = n; }\n"
PROTOTYPE = "void apply(int n, float *x)"
AARCH64 = Target.parse("aarch64-linux-gnu")


@pytest.mark.parametrize("kind", ["object", "static", "shared"])
def test_an_object_for_another_architecture(kind: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    path = object_of(APPLY, AARCH64, tmp_path, pytestconfig)
    if kind == "static":
        path = static_library(tmp_path / "libapply.a", [path])
    elif kind == "shared":
        path = shared_library(tmp_path / "libapply.so", AARCH64, [path])
    with pytest.raises(
        CompileError,
        match=rf"^\S*test_library\.py:\d+: .*{path.name} is for aarch64, and the target is riscv64-unknown-linux-gnu",
    ):
        build(library_kernel(path, PROTOTYPE), "riscv64-linux-gnu")


def test_a_library_of_the_other_float_abi(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    hard = Target.parse("armv7l-linux-gnueabihf")
    path = shared_library(tmp_path / "libapply.so", hard, [object_of(APPLY, hard, tmp_path, pytestconfig)])
    with pytest.raises(CompileError, match=r"by the hard ABI, and the target armv7l-unknown-linux-gnueabi by soft"):
        build(library_kernel(path, PROTOTYPE), "llvm -mtriple=armv7l-linux-gnueabi")


@pytest.mark.parametrize("kind", ["object", "static", "shared"])
def test_a_function_that_is_not_there(kind: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    path = object_of(APPLY, AARCH64, tmp_path, pytestconfig)
    if kind == "static":
        path = static_library(tmp_path / "libapply.a", [path])
    elif kind == "shared":
        path = shared_library(tmp_path / "libapply.so", AARCH64, [path])
    with pytest.raises(CompileError) as caught:
        build(library_kernel(path, "void aply(int n)"), AARCH64)
    assert str(caught.value).partition(": ")[0].rpartition(":")[0].endswith("test_library.py")
    assert f"{path} does not define; what it defines is apply, apply_all" in str(caught.value)


def test_a_variable_is_no_function(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    path = object_of(APPLY, AARCH64, tmp_path, pytestconfig)
    with pytest.raises(CompileError, match=r"counter, which is no function"):
        build(library_kernel(path, "void counter(void)"), AARCH64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"^\S*test_library\.py:\d+: cannot read"),
        (b"#!/bin/sh\n", "not an ELF file"),
        (b"!<arch>\nx" + b" " * 80, "damaged"),
    ],
)
def test_what_is_no_library(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "libapply.so"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CompileError, match=message):
        build(library_kernel(path, PROTOTYPE), AARCH64)


def test_a_library_that_was_built_again_is_read_again(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    path = object_of(APPLY, AARCH64, tmp_path, pytestconfig)
    kernel = library_kernel(path, PROTOTYPE)
    first = build(kernel, AARCH64)
    assert build(kernel, AARCH64) is first
    object_of(APPLY.replace("= n", "= n + 1"), AARCH64, tmp_path, pytestconfig)
    assert build(kernel, AARCH64).key != first.key
