"""Mistakes in kernels: where they are reported, what is said, and what advice is given."""

from __future__ import annotations

import linecache
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import KernelError
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import XDeviceError

n = dim("n")


def read_mistakes() -> tuple[str, dict[str, tuple[str, str]]]:
    """Return the lines that every kernel comes after, and each kernel with the text of its error, by name."""
    text = (Path(__file__).parent / "mistakes.txt").read_text(encoding="utf-8")
    _, *parts = re.split(r"^== (\w+)\n", text, flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    header = sections.pop("header").rstrip("\n") + "\n\n"
    mistakes = {}
    for name, body in sections.items():
        source, expected = body.split("\n--\n")
        mistakes[name] = (source + "\n", expected.rstrip("\n"))
    return header, mistakes


HEADER, MISTAKES = read_mistakes()


def define(source: str, path: Path) -> dict[str, Any]:
    """Return the names that `source`, written to the file `path`, defines."""
    path.write_text(source, encoding="utf-8")
    linecache.checkcache(str(path))
    names: dict[str, Any] = {"__name__": "kernels"}
    exec(compile(source, str(path), "exec", dont_inherit=True), names)
    return names


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_reported_with_its_place_and_advice(name: str, tmp_path: Path) -> None:
    source, expected = MISTAKES[name]
    path = tmp_path / "kernels.py"
    names = define(HEADER + source, path)
    with pytest.raises(KernelError) as caught:
        _ = names["k"].ir
    assert str(caught.value).replace(str(path), "FILE") == expected


def test_error_carries_its_place_and_is_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    names = define(HEADER + "@kernel\ndef k(b: Out[f32, n]):\n    b[0] = nowhere\n", path)
    with pytest.raises(XDeviceError) as caught:
        _ = names["k"].ir
    error = caught.value
    assert isinstance(error, KernelError)
    assert (error.filename, error.line, error.column) == (str(path), HEADER.count("\n") + 3, 12)
    assert error.message == "the name 'nowhere' is not defined."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_error_in_a_helper_carries_each_call_that_leads_there(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    helpers = "def inner(x):\n    return x << 1\ndef outer(x):\n    return inner(x)\n"
    names = define(HEADER + helpers + "@kernel\ndef k(b: Out[f32, n]):\n    b[0] = outer(b[1])\n", path)
    with pytest.raises(KernelError) as caught:
        _ = names["k"].ir
    assert [(call.helper, call.at.line, call.at.column) for call in caught.value.calls] == [
        ("inner", HEADER.count("\n") + 4, 12),
        ("outer", HEADER.count("\n") + 7, 12),
    ]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_helpers_that_call_each_other_too_deep_are_refused(tmp_path: Path) -> None:
    helpers = "".join(f"def step{depth + 1}(x):\n    return step{depth}(x)\n" for depth in range(40))
    kernel_text = "@kernel\ndef k(b: Out[f32, n]):\n    b[0] = step40(b[1])\n"
    names = define(HEADER + "def step0(x):\n    return x\n" + helpers + kernel_text, tmp_path / "kernels.py")
    with pytest.raises(KernelError, match="helpers call each other more than 32 deep") as caught:
        _ = names["k"].ir
    assert len(caught.value.calls) == 32


def test_helpers_within_expressions_too_deep_are_refused(tmp_path: Path) -> None:
    terms = "(" * 60 + "step{}(x)" + " + 1)" * 60
    helpers = "".join(f"def step{depth + 1}(x):\n    return {terms.format(depth)}\n" for depth in range(20))
    kernel_text = "@kernel\ndef k(b: Out[f32, n]):\n    b[0] = step20(b[1])\n"
    names = define(HEADER + "def step0(x):\n    return x\n" + helpers + kernel_text, tmp_path / "kernels.py")
    with pytest.raises(KernelError, match="helpers and expressions nest deeper than 128 levels") as caught:
        _ = names["k"].ir
    assert len(caught.value.calls) == 3


def test_place_is_that_of_the_file_for_a_kernel_within_a_function() -> None:
    def make() -> Any:
        @kernel
        def nested(a: In[f32, n], b: Out[f32, n]):
            """Text that
            goes over lines, and does not shift them."""
            for i in parallel(n):
                b[i] = a[i] << 1  # here

        return nested

    here = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(here, 1) if text.endswith("<< 1  # here"))
    with pytest.raises(KernelError) as caught:
        _ = make().ir
    assert str(caught.value) == (
        f"{__file__}:{line}:24: '<<' on f32.\n"
        "  b[i] = a[i] << 1  # here\n"
        "         ^^^^^^^^^\n"
        "It works on integers: cast with i64(x)."
    )


def test_kernel_without_source_says_what_to_do() -> None:
    names: dict[str, Any] = {"kernel": kernel, "Out": Out, "f32": f32, "n": n}
    exec("@kernel\ndef k(b: Out[f32, n]):\n    b[0] = 1\n", names)
    with pytest.raises(KernelError) as caught:
        _ = names["k"].ir
    assert str(caught.value) == (
        "<string>:1:1: kernel 'k' cannot be compiled: its source cannot be read.\n"
        "Define it with 'def' in a file or a notebook: exec() and standard input leave no source to read."
    )


def test_mistake_is_reported_at_use_and_not_at_definition() -> None:
    @kernel
    def wrong(b: Out[f32, n]):
        b[0] = nowhere  # noqa: F821

    assert wrong.name == "wrong"
    assert str(wrong.signature) == "wrong(b: Out[f32, n])"
    for use in (lambda: wrong.ir, lambda: wrong.python(np.zeros(1, np.float32)), lambda: wrong.opencl_program()):
        with pytest.raises(KernelError, match="the name 'nowhere' is not defined"):
            use()


@pytest.mark.parametrize("fast", ["fsat", None, 3], ids=repr)
def test_unknown_word_for_fast_is_refused(fast: Any) -> None:
    message = f"^fast={fast!r}: {fast!r} is none of contract, full, reassoc, True and False$"
    with pytest.raises(ValueError, match=message):
        kernel(fast=fast)


def test_a_dim_has_a_name_that_a_kernel_can_write() -> None:
    with pytest.raises(ValueError, match=r"^dim\(\) takes a Python identifier, such as dim\('n'\); got 'for'$"):
        dim("for")


def test_calling_a_kernel_says_how_to_run_it() -> None:
    @kernel
    def add(a: In[f32, n], b: Out[f32, n], k: i64):
        b[0] = a[0] + f32(k)

    with pytest.raises(TypeError) as caught:
        add(1, 2)
    assert str(caught.value) == (
        "kernel add is not called directly: write xdevice.run(add, ...) to run it on a device, "
        "or add.python(a, b, k) to run it in Python"
    )


def test_calling_parallel_in_python_says_where_it_belongs() -> None:
    with pytest.raises(TypeError, match=r"parallel\(\.\.\.\) has a meaning only inside a @kernel"):
        parallel(3)
