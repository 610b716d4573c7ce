"""Which loops that reduce an array to a number vectorise: docs/reference/language.md, held against LLVM's output."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from pytest_xdevice import bool_
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import u8
from pytest_xdevice.kernel import Kernel
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.llvm import CompilerProcess

from .ways import Run

n = dim("n")
HASWELL = Target.parse("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3")


@kernel
def integer_sum(a: In[i32, n], total: Out[i32, 1]):
    x = i32(0)
    for i in range(n):
        x += a[i]
    total[0] = x


@kernel
def widening_sum(a: In[u8, n], total: Out[i64, 1]):
    x = 0
    for i in range(n):
        x += a[i]
    total[0] = x


@kernel
def integer_most(a: In[i32, n], most: Out[i32, 1]):
    x = a[0]
    for i in range(n):
        x = max(x, a[i])
    most[0] = x


@kernel
def all_bits(a: In[i32, n], bits: Out[i32, 1]):
    x = i32(0)
    for i in range(n):
        x |= a[i]
    bits[0] = x


@kernel
def how_many(a: In[f32, n], count: Out[i32, 1]):
    x = i32(0)
    for i in range(n):
        if a[i] > 0.5:
            x += 1
    count[0] = x


@kernel
def whether_any(a: In[i32, n], found: Out[bool_, 1]):
    x = False
    for i in range(n):
        x = x | (a[i] == 3)
    found[0] = x


@kernel
def float_most(a: In[f32, n], most: Out[f32, 1]):
    x = a[0]
    for i in range(n):
        x = max(x, a[i])
    most[0] = x


@kernel
def float_sum(a: In[f32, n], total: Out[f32, 1]):
    x = f32(0)
    for i in range(n):
        x += a[i]
    total[0] = x


@kernel(fast="reassoc")
def quick_float_sum(a: In[f32, n], total: Out[f32, 1]):
    x = f32(0)
    for i in range(n):
        x += a[i]
    total[0] = x


@kernel
def dot(a: In[f32, n], b: In[f32, n], total: Out[f32, 1]):
    x = f32(0)
    for i in range(n):
        x += a[i] * b[i]
    total[0] = x


@kernel(fast=True)
def quick_dot(a: In[f32, n], b: In[f32, n], total: Out[f32, 1]):
    x = f32(0)
    for i in range(n):
        x += a[i] * b[i]
    total[0] = x


@kernel
def float_least_by_if(a: In[f32, n], least: Out[f32, 1]):
    x = a[0]
    for i in range(n):
        if a[i] < x:
            x = a[i]
    least[0] = x


@kernel
def where_most(a: In[i32, n], place: Out[i64, 1]):
    at = 0
    for i in range(n):
        if a[i] > a[at]:
            at = i
    place[0] = at


@kernel
def first_three(a: In[i32, n], place: Out[i64, 1]):
    place[0] = n
    for i in range(n):
        if a[i] == 3:
            place[0] = i
            break


@pytest.fixture(scope="module")
def compiler() -> Iterator[CompilerProcess]:
    process = CompilerProcess()
    yield process
    process.close()


def assembly(source: Kernel, compiler: CompilerProcess) -> str:
    return compiler.assemble(compiler.compile(source.llvm_ir(HASWELL), HASWELL.machine).llvm_ir, HASWELL.machine)


@pytest.mark.parametrize(
    ("source", "instruction"),
    [
        (integer_sum, "vpaddd"),
        (widening_sum, "vpadd[dq]"),
        (integer_most, "vpmaxsd"),
        (all_bits, "vpor"),
        (how_many, "vpsubd|vpaddd"),
        (whether_any, "vpcmpeqd"),
        (float_most, "vmaxps"),
        (quick_float_sum, "vaddps"),
        (quick_dot, "vfmadd...ps"),
    ],
    ids=lambda value: value.name if isinstance(value, Kernel) else "",
)
def test_vectorises(source: Kernel, instruction: str, compiler: CompilerProcess) -> None:
    assert re.search(rf"({instruction}).*%ymm", assembly(source, compiler))


@pytest.mark.parametrize(
    ("source", "instruction"),
    [
        (float_sum, "vaddps"),
        (dot, "vaddps|vfmadd...ps"),
        (float_least_by_if, "v(min|cmp).*ps"),
        (where_most, "vpcmp"),
        (first_three, "vpcmp"),
    ],
    ids=lambda value: value.name if isinstance(value, Kernel) else "",
)
def test_keeps_its_order(source: Kernel, instruction: str, compiler: CompilerProcess) -> None:
    assert not re.search(rf"({instruction}).*%ymm", assembly(source, compiler))


def test_products_of_a_dot_product_are_vectors_even_so(compiler: CompilerProcess) -> None:
    assert re.search(r"vmulps.*%ymm", assembly(dot, compiler))


@pytest.mark.parametrize(
    "source", [integer_sum, integer_most, all_bits, whether_any, where_most, first_three], ids=lambda each: each.name
)
def test_integers_give_the_same_everywhere(run: Run, source: Kernel) -> None:
    values = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, 1000).astype(np.int32)
    values[700] = 3
    np.testing.assert_array_equal(run(source, values), source.python(values))


@pytest.mark.parametrize("source", [how_many, float_most, float_sum, float_least_by_if], ids=lambda each: each.name)
def test_floats_give_the_same_everywhere(run: Run, source: Kernel) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    np.testing.assert_array_equal(run(source, values), source.python(values))
