"""Where a kernel may come from: functions, methods, prompts and notebooks; and what is said of everything else."""

from __future__ import annotations

import doctest
import functools
import linecache
import subprocess
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import KernelError
from pytest_xdevice import Out
from pytest_xdevice import parallel
from tests.kernel.test_errors import define

n = dim("n")

TEXT = """\
import numpy as np
from pytest_xdevice import In, Out, dim, f32, kernel, parallel
n = dim("n")
def twice(x):
    return x * 2

@kernel
def double(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = twice(a[i])

"""
NO_SOURCE = (
    "<stdin>:7:1: kernel 'double' cannot be compiled: its source cannot be read.\n"
    "Define it with 'def' in a file or a notebook: exec() and standard input leave no source to read."
)


def output_of(*arguments: str, stdin: str = "") -> str:
    """Return what a new Python prints."""
    done = subprocess.run([sys.executable, *arguments], input=stdin, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


# --- classes ---------------------------------------------------------------------------------------------


class Kernels:
    @staticmethod
    @kernel
    def outside(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = a[i] + 1

    @kernel
    @staticmethod
    def inside(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = a[i] + 2

    @kernel
    def plain(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = a[i] + 3

    @kernel
    def method(self, a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = a[i]


@pytest.mark.parametrize(("name", "added"), [("outside", 1), ("inside", 2), ("plain", 3)])
def test_kernel_in_a_class(name: str, added: int) -> None:
    for owner in (Kernels, Kernels()):
        assert getattr(owner, name).python(np.zeros(1, np.float32))[0] == added


def test_method_with_an_object_is_refused() -> None:
    with pytest.raises(KernelError) as caught:
        _ = Kernels.method.signature
    line = Path(__file__).read_text(encoding="utf-8").splitlines().index(caught.value.source_line) + 1
    assert str(caught.value) == (
        f"{__file__}:{line}:16: the kernel is a method, and 'self' an object.\n"
        "  def method(self, a: In[f32, n], b: Out[f32, n]):\n"
        "             ^^^^\n"
        "Remove 'self', or write a function."
    )


# --- what is no function ---------------------------------------------------------------------------------


def plain(a: In[f32, n]):
    pass


@pytest.mark.parametrize(
    ("decorated", "said"),
    [
        (int, "type int: write a function, and pass each field by itself"),
        (
            functools.partial(plain, 1),
            "a functools.partial: pass the value as a parameter, or define the kernel in a function that takes it",
        ),
        (Kernels().__init__, "an object of type method-wrapper: put @kernel right above 'def'"),
        (Path().exists, "the bound method exists: write a function, or a static method, without 'self'"),
        (len, "a builtin_function_or_method: write a function in Python"),
        (classmethod(plain), "a classmethod: write a function in Python"),
        (property(plain), "an object of type property: put @kernel right above 'def'"),
        (Kernels.plain, "the kernel plain: remove one of the two decorators"),
        (3, "an object of type int: put @kernel right above 'def'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_functions_can_be_decorated(decorated: Any, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        kernel(decorated)
    assert str(caught.value) == f"@kernel decorates a function defined with 'def'; got {said}"


def test_lambda_is_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    names = define(TEXT + "k = kernel(lambda: None)\n", path)
    with pytest.raises(KernelError) as caught:
        _ = names["k"].ir
    assert str(caught.value) == (
        f"{path}:12:1: kernel '<lambda>' cannot be compiled: a lambda has no loops.\n"
        "  k = kernel(lambda: None)\n"
        "  ^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "Define it with 'def'; it may call lambdas."
    )


def test_async_function_is_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    names = define(TEXT + "@kernel\nasync def k(a: In[f32, n]):\n    pass\n", path)
    with pytest.raises(KernelError) as caught:
        _ = names["k"].ir
    assert str(caught.value) == (
        f"{path}:12:1: kernel 'k' cannot be compiled: it is an async function.\n"
        "  @kernel\n"
        "  ^^^^^^^\n"
        "Define it with a plain 'def': it runs to its end."
    )


def test_replaced_function_is_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    decorator = "import functools\ndef traced(f):\n    return functools.wraps(f)(lambda *args: f(*args))\n"
    names = define(TEXT + decorator + "@kernel\n@traced\ndef k(a: In[f32, n]):\n    pass\n", path)
    with pytest.raises(KernelError) as caught:
        _ = names["k"].ir
    assert str(caught.value) == (
        f"{path}:14:5: kernel 'k' cannot be compiled: a decorator has put another function in its place.\n"
        "  return functools.wraps(f)(lambda *args: f(*args))\n"
        "  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "Put @kernel right above 'def'."
    )


@pytest.mark.parametrize(("before", "after"), [("double(a:", "triple(a:"), ("= twice(a[i])", "= 3 * a[i]")])
def test_file_that_was_changed_is_noticed(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "kernels.py"
    names = define(TEXT, path)
    path.write_text(TEXT.replace(before, after), encoding="utf-8")
    with pytest.raises(KernelError) as caught:
        _ = names["double"].ir
    assert str(caught.value) == (
        f"{path}:7:1: kernel 'double' cannot be compiled: the source found for it is another.\n"
        "  @kernel\n"
        "  ^^^^^^^\n"
        "Was the file changed after it was imported? Start Python again, or define it with a plain 'def'."
    )


def test_helpers_that_were_changed_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    text = TEXT.replace("\ndef twice(x):\n    return x * 2\n", "\ntwice = lambda x: x * 2\n\n")
    for given, edited in ((TEXT, TEXT.replace("x * 2", "x * 3")), (text, text.replace("x * 2", "x * 3"))):
        names = define(given, path)
        path.write_text(edited, encoding="utf-8")
        with pytest.raises(KernelError, match=r":4:\d+: helper '.*' cannot be inlined: the source found .* is another"):
            _ = names["double"].ir


def test_changes_elsewhere_in_the_file_do_not_matter(tmp_path: Path) -> None:
    """The test module is one of pytest's, which rewrites what it imports."""
    test = """
import pytest
PATTERN = '\\d'  # the compiler warns of it

def edit(request):
    with open(request.path, "a", encoding="utf-8") as file:
        file.write("assert False")

@pytest.mark.filterwarnings("error")
def test_it(request):
    edit(request)
    assert double.python(np.float32([1])) == [2]
"""
    (tmp_path / "test_edit.py").write_text(TEXT + test, encoding="utf-8")
    assert "1 passed" in output_of("-m", "pytest", "-p", "no:cacheprovider", str(tmp_path))


def test_two_lambdas_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    helpers = "one = lambda x: x\n"
    names = define(TEXT + helpers + "@kernel\ndef k(b: Out[f32, n]):\n    b[0] = one(1)\n", path)
    other: FunctionType = names["one"]
    path.write_text(path.read_text(encoding="utf-8").replace("one = lambda x: x\n", "one = 3\n"), encoding="utf-8")
    linecache.checkcache(str(path))
    assert other.__name__ == "<lambda>"
    with pytest.raises(KernelError, match="which of the lambdas on its line it is cannot be told"):
        _ = names["k"].ir


# --- prompts and notebooks -------------------------------------------------------------------------------


@pytest.mark.parametrize("filename", ["<ipython-input-1-0a1b2c>", "/tmp/ipykernel_7/1234.py", "<python-input-3>"])
def test_cell_of_a_notebook(filename: str) -> None:
    # IPython and Jupyter enter each cell in linecache, without a time that could make it stale.
    linecache.cache[filename] = (len(TEXT), None, TEXT.splitlines(keepends=True), filename)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(TEXT, filename, "exec", dont_inherit=True), names)
    assert list(names["double"].python(np.ones(2, np.float32))) == [2, 2]


def test_doctest(tmp_path: Path) -> None:
    prompts = "".join(
        f"{'...' if line.startswith((' ', 'def double')) else '>>>'} {line}".rstrip() + "\n"
        if line.strip()
        else "...\n"
        for line in TEXT.splitlines()
    )
    page = tmp_path / "page.txt"
    page.write_text(prompts + ">>> double.python(np.ones(2, np.float32)).tolist()\n[2.0, 2.0]\n", encoding="utf-8")
    assert doctest.testfile(str(page), module_relative=False) == (0, 6)


@pytest.mark.parametrize("way", ["-c", "-i"])
def test_prompt_and_command(way: str) -> None:
    run = "try:\n    print(double.python(np.ones(2, np.float32)))\nexcept Exception as error:\n    print(error)\n\n"
    printed = output_of("-c", TEXT + run) if way == "-c" else output_of("-i", "-q", stdin=TEXT + run)
    # Python keeps the text of its prompt since 3.13.
    assert ("[2. 2.]" if sys.version_info >= (3, 13) else "its source cannot be read") in printed


def test_standard_input_says_what_to_do() -> None:
    shown = "try:\n    double.ir\nexcept Exception as error:\n    print(error)\n"
    assert output_of("-", stdin=TEXT + shown).strip() == NO_SOURCE
