"""What `fast` allows shows in the code: nothing by default, and with each word what the documentation says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import exp
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.compile import Compiler
from pytest_xdevice.kernel import Kernel
from tests.kernel.ways import WAYS

n = dim("n")
X86 = "llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3"
ARM = "aarch64-linux-gnu"
LEVELS = [(), ("contract",), ("reassoc",), ("full",)]


def multiply_add(*fast: str) -> Kernel:
    @kernel(fast=fast)
    def axpy(a: In[f32, n], x: In[f32, n], y: In[f32, n], r: Out[f32, n]) -> None:
        for i in parallel(n):
            r[i] = a[i] * x[i] + y[i]

    return axpy


def total(*fast: str) -> Kernel:
    @kernel(fast=fast)
    def sum_of(a: In[f32, n], r: Out[f32, 1]) -> None:
        s = f32(0)
        for i in range(n):
            s += a[i]
        r[0] = s

    return sum_of


def larger(*fast: str) -> Kernel:
    @kernel(fast=fast)
    def larger_of(a: In[f32, n], b: In[f32, n], r: Out[f32, n]) -> None:
        for i in parallel(n):
            r[i] = max(a[i] * 2.0, b[i] * 2.0)

    return larger_of


def softplus(*fast: str) -> Kernel:
    @kernel(fast=fast)
    def apply(a: In[f32, n], r: Out[f32, n]) -> None:
        for i in parallel(n):
            r[i] = exp(a[i]) + 1.0

    return apply


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("fast"))


def assembly(compiler: Compiler, source: Kernel, target: str) -> str:
    return compiler.build(source, target).assembly


@pytest.mark.parametrize(("target", "fma"), [(X86, r"vfmadd\w+ps\t"), (ARM, r"fmla\tv")], ids=["x86-64-v3", "aarch64"])
def test_contract_alone_makes_fma_instructions(compiler: Compiler, target: str, fma: str) -> None:
    found = {fast: bool(re.search(fma, assembly(compiler, multiply_add(*fast), target))) for fast in LEVELS}
    assert found == {(): False, ("contract",): True, ("reassoc",): False, ("full",): True}


@pytest.mark.parametrize(
    ("target", "vectors"), [(X86, r"vaddps\t.*%ymm"), (ARM, r"fadd\tv\d+\.4s")], ids=["x86-64-v3", "aarch64"]
)
def test_reassoc_vectorises_a_sum(compiler: Compiler, target: str, vectors: str) -> None:
    found = {fast: bool(re.search(vectors, assembly(compiler, total(*fast), target))) for fast in LEVELS}
    assert found == {(): False, ("contract",): False, ("reassoc",): True, ("full",): True}


def test_full_assumes_that_there_is_no_nan(compiler: Compiler) -> None:
    checks = {fast: "unordps" in assembly(compiler, larger(*fast), X86) for fast in LEVELS}
    assert checks == {(): True, ("contract",): True, ("reassoc",): True, ("full",): False}


def test_true_is_contract_and_reassoc() -> None:
    @kernel(fast=True)
    def nothing(a: In[f32, n]) -> None:
        pass

    assert nothing.fast == {"contract", "reassoc"}


@pytest.mark.parametrize("fast", LEVELS, ids=" ".join)
def test_opencl_gets_the_options_that_mean_no_more(compiler: Compiler, fast: tuple[str, ...]) -> None:
    artifact = compiler.build(multiply_add(*fast), "opencl")
    contracts = "#pragma OPENCL FP_CONTRACT ON" in artifact.opencl_source
    assert contracts == (fast in [("contract",), ("full",)])
    assert artifact.build_options == {
        ("reassoc",): ("-cl-no-signed-zeros",),
        ("full",): ("-cl-fast-relaxed-math",),
    }.get(fast, ())


def test_a_word_of_fast_makes_another_opencl_artifact(compiler: Compiler) -> None:
    keys = {compiler.build(total(*fast), "opencl").key for fast in LEVELS}
    assert len(keys) == len(LEVELS)


@pytest.mark.parametrize("fast", LEVELS, ids=" ".join)
def test_elementary_functions_keep_their_operations(compiler: Compiler, fast: tuple[str, ...]) -> None:
    source = compiler.build(softplus(*fast), "opencl").opencl_source
    before, _, after = source.partition("__kernel")
    if fast == ("full",):
        assert "xd_exp" not in source
        assert "exp(" in after
    else:
        assert re.search(r"(?s)FP_CONTRACT OFF.*float xd_exp_f32\(", before)
        assert "xd_exp_f32(" in after
    assert not re.search(r"vfn?m(add|sub)", assembly(compiler, softplus(*fast), X86))


@pytest.mark.parametrize("fast", LEVELS[:3], ids=" ".join)
@pytest.mark.parametrize("way", ["llvm", "opencl"])
def test_elementary_functions_keep_their_bits(request: pytest.FixtureRequest, way: str, fast: tuple[str, ...]) -> None:
    if way == "opencl":
        request.getfixturevalue("opencl_device")
    values = np.random.default_rng(0).uniform(-90, 80, 500).astype(np.float32)
    np.testing.assert_array_equal(WAYS[way](softplus(*fast), values), softplus().python(values))
