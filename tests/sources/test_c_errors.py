"""Mistakes in kernels in C: the compiler's own words, with the user's own paths, and the next kernel is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import c_kernel
from pytest_xdevice import CompileError
from pytest_xdevice import KernelError
from pytest_xdevice.compile import build

FILE = Path(__file__).name
TARGET = "aarch64-linux-gnu"


def line_of(text: str) -> int:
    """Return the line of this file on which `text` first stands."""
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def message_of(kernel: object, target: str = TARGET) -> str:
    with pytest.raises(CompileError) as caught:
        build(kernel, target)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_mistake_in_a_text_is_located_in_the_test_file() -> None:
    kernel = c_kernel(
        """
void bad(int n, float *y)
{
    y[0] = no_such_name;
}
""",
        "void bad(int n, float *y)",
    )
    assert f"{FILE}:{line_of('y[0] = no_such_name')}:" in message_of(kernel)
    assert "no_such_name" in message_of(kernel)


def test_a_mistake_in_a_file_has_the_path_that_the_user_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "bad.c").write_text("void bad(void)\n{\n    return 1 +;\n}\n")
    monkeypatch.chdir(tmp_path)
    assert message_of(c_kernel("src/bad.c", "void bad(void)")).startswith("src/bad.c:3:15: error: expected expression")


def test_a_file_that_is_not_there() -> None:
    kernel = c_kernel("nowhere.c", "void f(void)")
    assert f"{FILE}:{line_of('c_kernel(' + repr('nowhere.c')[1:-1].join(chr(34) * 2))}: there is no file nowhere.c" in (
        message_of(kernel)
    )


def test_a_header_that_is_not_there() -> None:
    kernel = c_kernel('#include "nowhere.h"\nvoid f(void) { }\n', "void f(void)")
    assert "fatal error: 'nowhere.h' file not found" in message_of(kernel)


def test_an_intrinsic_that_the_target_lacks() -> None:
    kernel = c_kernel(
        "#include <arm_neon.h>\nvoid f(float *x) { vst1q_f32(x, vdupq_n_f32(1)); }\n", "void f(float *x)"
    )  # fmt: skip
    build(kernel, "aarch64-linux-gnu")
    assert "error" in message_of(kernel, "riscv64-linux-gnu")
    assert "requires target feature 'neon'" in message_of(kernel, "armv7l-linux-gnueabihf")
    assert build(kernel, "llvm -mtriple=armv7l-linux-gnueabihf -mattr=+neon").object


def test_a_prototype_with_other_arguments_is_shown_beside_the_function() -> None:
    kernel = c_kernel(
        """
void narrow(int n, const float *x, double *y) { y[0] = x[n]; }
""",
        "void narrow(int n, const double *x, double *y)",
    )
    message = message_of(kernel)
    assert f"{FILE}:{line_of('void narrow(int n, const double')}: the prototype does not agree" in message
    assert "conflicting types for 'narrow'" in message
    assert f"{FILE}:{line_of('void narrow(int n, const float')}:" in message


def test_a_file_that_differs_from_the_prototype_is_called_as_the_user_called_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "far.c").write_text("\nvoid far(int n) { }\n")
    monkeypatch.chdir(tmp_path)
    message = message_of(c_kernel("kernels/far.c", "void far(float n)"))
    assert "\nkernels/far.c:2:6: note: previous definition is here" in message


def test_a_prototype_of_cpp_with_another_direction() -> None:
    kernel = c_kernel('extern "C" void narrow(const float *x) { }', "void narrow(float *x)")
    assert "conflicting types for 'narrow'" in message_of(kernel)


def test_a_function_that_is_not_there() -> None:
    kernel = c_kernel("void first(void) { }\nvoid second(void) { }\n", "void third(void)")
    message = message_of(kernel)
    assert f"{FILE}:{line_of('void third')}: the prototype names third, which is not defined" in message
    assert message.endswith("what is defined is first, second")


def test_a_static_function_that_differs_from_its_prototype() -> None:
    message = message_of(c_kernel("static void third(int n) { }\n", "void third(long n)"))
    assert "the prototype does not agree with the function" in message
    assert "conflicting types for 'third'" in message


def test_a_static_function_of_cpp_does_not_count() -> None:
    kernel = c_kernel("static void third(void) { }\n", "void third(void)", language="c++")
    assert "what is defined is nothing; a static or inline function of C++ does not count" in message_of(kernel)


def test_a_function_of_cpp_needs_extern_c() -> None:
    kernel = c_kernel("void mangled(int n) { }", "void mangled(int n)", language="c++")
    assert "C++ calls it _Z7mangledi: declare it extern" in message_of(kernel)


def test_a_mistake_in_the_prototype_is_located() -> None:
    kernel = c_kernel("void f(long **x) { }\n", "void f(long **x)")
    with pytest.raises(KernelError) as caught:
        build(kernel, TARGET)
    assert (caught.value.filename.rpartition("/")[2], caught.value.line) == (FILE, line_of("void f(long **x) { }"))


def test_a_symbol_that_nothing_defines_is_named() -> None:
    kernel = c_kernel("int nowhere_at_all(void);\nint f(void) { return nowhere_at_all(); }\n", "int f(void)")
    assert "nowhere_at_all" in message_of(kernel, "x86_64-linux-gnu")


def test_opencl_and_python_are_refused() -> None:
    kernel = c_kernel("void f(void) { }\n", "void f(void)")
    with pytest.raises(ArgumentError, match=r"f is a kernel in C, which runs on a CPU and not by OpenCL"):
        build(kernel, "opencl")
    with pytest.raises(ArgumentError, match=r"f is a kernel in C, which cannot be interpreted"):
        kernel.python()
    with pytest.raises(ArgumentError, match=r"threads=2: f has no parallel loops"):
        build(kernel, TARGET, threads=2)
    with pytest.raises(TypeError, match=r"not called directly"):
        kernel()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"flags": "-O2"}, "flags='-O2': give a sequence"),
        ({"language": "rust"}, "language='rust'"),
        ({"defines": {"A": False}}, "A=False"),
        ({"defines": ["A=1"]}, r"defines=\['A=1'\]: give a mapping, as in defines=\{'SIZE': 16\}"),
    ],
)
def test_options_of_a_wrong_kind(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        c_kernel("void f(void) { }", "void f(void)", **keywords)  # type: ignore[arg-type]
