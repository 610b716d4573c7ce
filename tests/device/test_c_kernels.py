"""Kernels in C and C++ on a device: every type of argument and result, guards, crashes, timings."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import c_kernel
from pytest_xdevice import KernelCrash
from pytest_xdevice import MemoryViolation
from pytest_xdevice.remote import Device
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.symbolise import symbolizer
from tests.harness.requirement import unavailable

pytestmark = pytest.mark.cpu

EVERY_SCALAR = c_kernel(
    """
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void scalars(bool b, int8_t i8, int16_t i16, int32_t i32, int64_t i64, uint8_t u8, uint16_t u16, uint32_t u32,
             uint64_t u64, float f32, double f64, size_t size, long word, unsigned char c, double *out)
{
    double values[] = {b, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, size, word, c};
    for (int i = 0; i < 14; i++)
        out[i] = values[i];
}
""",
    "void scalars(bool b, int8_t i8, int16_t i16, int32_t i32, int64_t i64, uint8_t u8, uint16_t u16, uint32_t u32,"
    "             uint64_t u64, float f32, double f64, size_t size, long word, unsigned char c, double *out)",
)


def test_every_scalar_arrives(xdevice: Device) -> None:
    values = [
        True, -128, -32768, -(1 << 31), -(1 << 53), 255, 65535, (1 << 32) - 1, 1 << 53, -0.5, 0.1, (1 << 32) - 1,
        -(1 << 31), 200,
    ]  # fmt: skip
    out = xdevice.run(EVERY_SCALAR, *values, np.zeros(14))
    np.testing.assert_array_equal(out, np.array(values, np.float64))


@pytest.mark.parametrize(
    ("kind", "dtype", "value"),
    [
        ("_Bool", np.bool_, True),
        ("int8_t", np.int8, -100),
        ("uint8_t", np.uint8, 200),
        ("int16_t", np.int16, -30000),
        ("uint16_t", np.uint16, 60000),
        ("int32_t", np.int32, -(1 << 31)),
        ("uint32_t", np.uint32, (1 << 32) - 1),
        ("int64_t", np.int64, -(1 << 63)),
        ("uint64_t", np.uint64, (1 << 64) - 1),
        ("float", np.float32, -0.25),
        ("double", np.float64, 0.1),
        ("long", np.int64, -(1 << 31)),
        ("size_t", np.uint64, (1 << 32) - 1),
    ],
)
def test_every_result_comes_back(kind: str, dtype: type[np.generic], value: object, xdevice: Device) -> None:
    text = f"#include <stdint.h>\n#include <stddef.h>\n{kind} back({kind} x) {{ return x; }}\n"
    result = xdevice.run(c_kernel(text, f"{kind} back({kind} x)"), value)
    assert result.dtype == dtype
    assert result.shape == ()
    assert result == dtype(value)


SWAP = c_kernel(
    "void swap(int n, float *a, const float *b, float *c)"
    "{ for (int i = 0; i < n; i++) { float t = a[i]; a[i] = c[i] + b[i]; c[i] = t; } }",
    "void swap(int n, float *a, const float *b, float *c)",
)


def test_what_may_be_written_comes_back_in_order_and_arguments_stay_as_they_are(xdevice: Device) -> None:
    a, b, c = np.float32([1, 2]), np.float32([10, 20]), np.float32([3, 4])
    new_a, new_c = xdevice.run(SWAP, 2, a, b, c)
    np.testing.assert_array_equal(new_a, [13, 24])
    np.testing.assert_array_equal(new_c, [1, 2])
    np.testing.assert_array_equal(a, [1, 2])
    np.testing.assert_array_equal(c, [3, 4])


NORM = c_kernel(
    "#include <math.h>\ndouble norm(int n, const float x[n]) { double s = 0; for (int i = 0; i < n; i++) s += x[i];"
    " return pow(expf((float)s), 0.5); }",
    "double norm(int n, const float x[n])",
)


def test_the_result_follows_the_arrays_and_the_long_way_takes_an_array_for_it(xdevice: Device) -> None:
    x = np.float32([[1, 2], [3, 4]])
    assert xdevice.run(NORM, 4, x) == pytest.approx(np.exp(5.0), rel=1e-6)
    out = xdevice.empty((), np.float64)
    function = xdevice.compile(NORM)
    function(4, x, out)
    assert out.numpy() == pytest.approx(np.exp(5.0), rel=1e-6)
    assert function.time(4, xdevice.array(x), out, number=3, repeat=3).min > 0


def test_half_precision_arrays(xdevice: Device) -> None:
    kind = "__fp16" if isinstance(xdevice.target, Target) and xdevice.target.arch == "arm" else "_Float16"
    twice = c_kernel(
        f"void twice(int n, {kind} *x) {{ for (int i = 0; i < n; i++) x[i] = ({kind})((float)x[i] * 2); }}",
        f"void twice(int n, {kind} *x)",
    )
    x = np.float16([1, 2.5, 1000])
    np.testing.assert_array_equal(xdevice.run(twice, 3, x), x * 2)


def test_structures_are_bytes(xdevice: Device) -> None:
    record = np.dtype([("x", np.float32), ("count", np.int32)])
    kernel = c_kernel(
        "struct r { float x; int count; }; void bump(int n, struct r *r) { for (int i = 0; i < n; i++) {"
        " r[i].x *= 2; r[i].count++; } }",
        "void bump(int n, struct r *r)",
    )
    given = np.array([(1.5, 1), (2.5, 2)], record)
    got = xdevice.run(kernel, 2, given.view(np.uint8)).view(record)
    assert got.tolist() == [(3.0, 2), (5.0, 3)]


def test_a_write_outside_of_an_array_is_caught(xdevice: Device) -> None:
    past = c_kernel("void past(int n, int *x) { x[n] = 1; }", "void past(int n, int *x)")
    with pytest.raises((KernelCrash, MemoryViolation), match="past"):
        xdevice.run(past, 4, np.zeros(4, np.int32))


def test_a_fault_of_code_with_lines_names_its_line(xdevice: Device, pytestconfig: pytest.Config) -> None:
    program = "".join(symbolizer()[:1])
    if "llvm-symbolizer" not in program and not (program and xdevice.address == "local"):
        unavailable(pytestconfig, "llvm-symbolizer is not installed: install llvm")
    kernel = c_kernel(
        """
void far(int n, float *x)
{
    x[0] = 1;
    x[n] = 2; /* here */
}
""",
        "void far(int n, float *x)",
        flags=["-g"],
    )
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    here = next(number for number, line in enumerate(lines, 1) if "/* here */" in line)
    with pytest.raises(MemoryViolation, match=rf"at \S*test_c_kernels.py:{here} on "):
        xdevice.run(kernel, 16, np.zeros(16, np.float32))


def test_an_instruction_that_traps_is_located_as_well(xdevice: Device, pytestconfig: pytest.Config) -> None:
    program = "".join(symbolizer()[:1])
    if "llvm-symbolizer" not in program and not (program and xdevice.address == "local"):
        unavailable(pytestconfig, "llvm-symbolizer is not installed: install llvm")
    kernel = c_kernel("int trap(int a) { if (a == 3) __builtin_trap(); return a; }", "int trap(int a)", flags=["-g"])
    assert xdevice.run(kernel, 2) == 2
    with pytest.raises(KernelCrash, match=r"trap crashed with SIG(ILL|TRAP) at \S*test_c_kernels.py:\d+ on .*: \w+"):
        xdevice.run(kernel, 3)


def test_a_crash_is_reported_and_the_next_kernel_runs(xdevice: Device) -> None:
    crash = c_kernel("#include <stdlib.h>\nvoid crash(void) { abort(); }", "void crash(void)")
    with pytest.raises(KernelCrash, match="crash crashed with SIGABRT"):
        xdevice.run(crash)
    assert xdevice.run(c_kernel("int one(void) { return 1; }", "int one(void)")) == 1


def test_a_word_that_a_32_bit_device_has_no_room_for_is_an_error(xdevice: Device) -> None:
    kernel = c_kernel("#include <stddef.h>\nsize_t same(size_t n) { return n; }", "size_t same(size_t n)")
    assert isinstance(xdevice.target, Target)
    if xdevice.target.bits == 64:
        assert xdevice.run(kernel, 1 << 40) == 1 << 40
        return
    with pytest.raises(ArgumentError, match=r"same: n does not fit in 32 bits"):
        xdevice.run(kernel, 1 << 40)


def test_a_kernel_of_several_files(xdevice: Device, tmp_path: Path) -> None:
    (tmp_path / "scale.h").write_text("#define FACTOR 3\nfloat scaled(float x);\n")
    (tmp_path / "scale.c").write_text('#include "scale.h"\nfloat scaled(float x) { return x * FACTOR; }\n')
    (tmp_path / "main.cpp").write_text(
        'extern "C" {\n#include "scale.h"\n}\ntemplate <class T> static void all(int n, T *x)\n'
        '{ for (int i = 0; i < n; i++) x[i] = scaled(x[i]) + OFFSET; }\nextern "C" void run(int n, float *x)\n'
        "{ all(n, x); }\n"
    )
    kernel = c_kernel(
        tmp_path / "main.cpp",
        "void run(int n, float *x)",
        sources=[tmp_path / "scale.c"],
        defines={"OFFSET": 1},
        flags=["-fno-exceptions"],
    )
    np.testing.assert_array_equal(xdevice.run(kernel, 2, np.float32([1, 2])), [4, 7])


def test_vectors_of_the_processor(xdevice: Device) -> None:
    kernel = c_kernel(
        """
#if defined(__ARM_NEON)
#include <arm_neon.h>
int lanes(const float *x, float *y) { vst1q_f32(y, vaddq_f32(vld1q_f32(x), vld1q_f32(x))); return 1; }
#elif defined(__SSE2__)
#include <immintrin.h>
int lanes(const float *x, float *y) { _mm_storeu_ps(y, _mm_add_ps(_mm_loadu_ps(x), _mm_loadu_ps(x))); return 2; }
#else
int lanes(const float *x, float *y) { for (int i = 0; i < 4; i++) y[i] = x[i] + x[i]; return 0; }
#endif
""",
        "int lanes(const float *x, float *y)",
    )
    assert isinstance(xdevice.target, Target)
    y, which = xdevice.run(kernel, np.float32([1, 2, 3, 4]), np.zeros(4, np.float32))
    np.testing.assert_array_equal(y, [2, 4, 6, 8])
    assert which == {"arm": 1, "aarch64": 1, "x86_64": 2, "i686": 2}.get(xdevice.target.arch, 0)


PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#define N 4
static int compare(const void *a, const void *b) { return *(const double *)a < *(const double *)b; }
static void kernel_sum(int n, double s[N], double a[N][N])
{
    for (int i = 0; i < n; i++) {
        s[i] = 0;
        for (int j = 0; j < n; j++)
            s[i] += a[i][j];
    }
    qsort(s, N, sizeof *s, compare);
}
inline int rows(void) { return N; }
int main(void) { double s[N], a[N][N] = {{1}}; kernel_sum(N, s, a); return s[0] > rows(); }
"""


def test_a_static_function_of_a_program_is_a_kernel_as_it_is(xdevice: Device, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(PROGRAM)
    kernel = c_kernel(tmp_path / "program.c", "void kernel_sum(int n, double s[N], double a[4][4])")
    a = np.arange(16.0).reshape(4, 4)
    s, same = xdevice.run(kernel, 4, np.zeros(4), a)
    np.testing.assert_array_equal(s, a.sum(1)[::-1])
    np.testing.assert_array_equal(same, a)
    assert "kernel_sum:" in xdevice.compile(kernel).artifact.assembly
    assert xdevice.run(c_kernel(tmp_path / "program.c", "int rows(void)")) == 4


def test_a_prototype_may_repeat_what_its_types_are_made_of(xdevice: Device) -> None:
    kernel = c_kernel(
        "enum mode { ADD, SUB = 5 };\nstruct pair { int a; int b; };\ntypedef struct { int c; } result;\n"
        "void both(enum mode m, const struct pair *p, result *r) { r->c = m == SUB ? p->a - p->b : p->a + p->b; }\n",
        "enum mode { ADD, SUB = 5 }; struct pair { int a; int b; }; typedef struct { int c; } result;"
        "void both(enum mode m, const struct pair *p, result *r);",
    )
    assert xdevice.run(kernel, 5, np.int32([7, 3]), np.zeros(1, np.int32)) == [4]


def test_a_kernel_and_its_helpers_may_have_names_of_the_c_library(xdevice: Device) -> None:
    kernel = c_kernel(
        "int index(int a) { return a + 1; }\nint div(int a, int b) { return 100 * a + 10 * b + index(b); }\n",
        "int div(int a, int b)",
        flags=["-fno-builtin", "-fno-inline"],
    )
    assert xdevice.run(kernel, 3, 4) == 345


def test_arrays_of_words_have_the_devices_size(xdevice: Device) -> None:
    kernel = c_kernel(
        "#include <stddef.h>\nvoid sizes(int n, const size_t *x, long *y)"
        "{ for (int i = 0; i < n; i++) y[i] = -(long)x[i]; }",
        "void sizes(int n, const size_t *x, long *y)",
    )
    signed, unsigned = (np.int64, np.uint64) if xdevice.info.bits == 64 else (np.int32, np.uint32)
    x = np.arange(3, dtype=unsigned)
    np.testing.assert_array_equal(xdevice.run(kernel, 3, x, np.zeros(3, signed)), [0, -1, -2])
    with pytest.raises(ArgumentError, match=r"sizes: y: expected int(32|64), got float32"):
        xdevice.run(kernel, 3, x, np.zeros(3, np.float32))


def test_complex_numbers_and_a_pointer_that_comes_back(xdevice: Device) -> None:
    kernel = c_kernel(
        "#include <complex.h>\n"
        "float complex *twice(int n, float complex *x) { for (int i = 0; i < n; i++) x[i] += x[i]; return x; }",
        "float complex *twice(int n, float complex *x)",
    )
    x = np.array([1 + 2j, 3j], np.complex64)
    np.testing.assert_array_equal(xdevice.run(kernel, 2, x), 2 * x)


def test_what_it_prints_is_the_tests_output(xdevice: Device, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = c_kernel('#include <stdio.h>\nvoid say(int n) { printf("n is %d\\n", n); }\n', "void say(int n)")
    xdevice.run(kernel, 7)
    assert "n is 7" in capsys.readouterr().out


# Says something, and waits for a file to appear.
WAIT = c_kernel(
    """
#include <stdio.h>
#include <unistd.h>

int wait_for(const unsigned char *path)
{
    printf("begun\\n");
    for (int i = 0; i < 20000 && access((const char *)path, F_OK); i++)
        usleep(1000);
    printf("done\\n");
    return access((const char *)path, F_OK);
}
""",
    "int wait_for(const unsigned char *path)",
)


class Answering(io.StringIO):
    """Text that does something as soon as it has a line that is `cue`."""

    def __init__(self, cue: str, answer: Callable[[], object]) -> None:
        super().__init__()
        self._cue = cue
        self._answer = answer

    def write(self, text: str) -> int:
        if self._cue in text.splitlines():
            self._answer()
        return super().write(text)


def new_folder() -> str:
    import tempfile

    return tempfile.mkdtemp()


def make_folder(path: str) -> None:
    import os

    os.mkdir(path)


def remove_folder(path: str) -> None:
    import shutil

    shutil.rmtree(path)


def test_what_it_prints_is_heard_while_it_runs(xdevice: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = xdevice.session.remote(new_folder)
    awaited = f"{folder}/heard"
    heard = Answering("begun", lambda: xdevice.session.remote(make_folder, awaited))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", heard)
        missed = xdevice.run(WAIT, np.frombuffer(f"{awaited}\0".encode(), np.uint8))
    xdevice.session.remote(remove_folder, folder)
    assert missed == 0
    assert heard.getvalue() == "begun\ndone\n"
