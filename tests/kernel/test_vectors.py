"""Kernels that vectorise do so for processors that are not here, and float sums only where they may be reordered."""

from __future__ import annotations

import re

import pytest

from benchmarks.codegen import kernels
from benchmarks.codegen.vectors import count
from benchmarks.codegen.vectors import PROCESSORS
from pytest_xdevice import dim
from pytest_xdevice import i8
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import parallel
from pytest_xdevice.compile import build
from pytest_xdevice.kernel.kernel import Kernel

n = dim("n")
ARMV7 = next(processor for processor in PROCESSORS if processor.name.startswith("armv7"))
OTHERS = [processor for processor in PROCESSORS if processor is not ARMV7]
EVERYWHERE = (
    kernels.grey, kernels.dot_i8, kernels.make_sum(True), kernels.make_dot(True), kernels.make_dot("full"),
    kernels.make_largest("full"),
)  # fmt: skip
STRICT_FLOATS = (
    kernels.add_one, kernels.saxpy, kernels.stencil3, kernels.stencil5, kernels.scan_step, kernels.matmul_ikj,
    kernels.matmul_blocked, kernels.make_largest(False), kernels.make_layernorm(False),
)  # fmt: skip


def vector_instructions(kernel: Kernel, processor: object) -> int:
    assembly = build(kernel, processor.target).assembly  # type: ignore[attr-defined]
    return count(assembly, f"xd_{kernel.name}", processor.arithmetic)  # type: ignore[attr-defined]


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda processor: processor.name)
@pytest.mark.parametrize("kernel", EVERYWHERE, ids=lambda kernel: "-".join([kernel.name, *sorted(kernel.fast)]))
def test_integers_and_what_may_be_reordered_become_vectors_everywhere(kernel: Kernel, processor: object) -> None:
    assert vector_instructions(kernel, processor)


@pytest.mark.parametrize("processor", OTHERS, ids=lambda processor: processor.name)
@pytest.mark.parametrize("kernel", STRICT_FLOATS, ids=lambda kernel: kernel.name)
def test_floats_become_vectors(kernel: Kernel, processor: object) -> None:
    assert vector_instructions(kernel, processor)


@pytest.mark.parametrize("kernel", [kernels.add_one, kernels.saxpy], ids=lambda kernel: kernel.name)
def test_floats_stay_out_of_neon_that_flushes_subnormals(kernel: Kernel) -> None:
    assert not vector_instructions(kernel, ARMV7)


def test_a_sum_in_order_is_added_up_in_order() -> None:
    assembly = build(kernels.make_sum(False), "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72").assembly
    assert not re.search(r"fadd\s+v\d+\.4s", assembly)


@kernel
def chosen_bytes(keys: In[i8, n], c: InOut[i8, n]):
    for i in parallel(n):
        if keys[i] <= 8:
            c[i] = i8(1)


@pytest.mark.parametrize("cpu", ["skylake-avx512", "x86-64-v4", "znver4"])
def test_a_mask_of_bytes_is_widened_by_what_no_compiler_takes_for_a_copy(cpu: str) -> None:
    artifact = build(chosen_bytes, f"llvm -mtriple=x86_64-linux-gnu -mcpu={cpu}")
    assert "@llvm.masked.store.v" in artifact.llvm_ir
    assert "kmovb" not in artifact.assembly
