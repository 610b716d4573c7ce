"""C prototypes: what a launch makes of each type, and what is refused, at its place."""

from __future__ import annotations

import pytest

from pytest_xdevice import KernelError
from pytest_xdevice.sources.prototype import parse_prototype
from pytest_xdevice.sources.prototype import Place
from pytest_xdevice.target import Target


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        (
            "void saxpy(int n, float a, const float *x, float *y)",
            "saxpy(n: i32, a: f32, x: const f32 *, y: f32 *)",
        ),
        ("void f(const float *restrict x, float y[restrict 3], int32_t n);", "f(x: const f32 *, y: f32 *, n: i32)"),
        ("void f(const double x[static 4], uint8_t *y)", "f(x: const f64 *, y: u8 *)"),
        ("void f(int n, float x[n][n])", "f(n: i32, x: f32 *)"),
        ("void f(size_t n, long a, unsigned long b, intptr_t c)", "f(n: u64, a: i64, b: u64, c: i64)"),
        ("void f(long long a, unsigned long long int b, short c)", "f(a: i64, b: u64, c: i16)"),
        ("void f(unsigned n, signed char c, unsigned char d, char e)", "f(n: u32, c: i8, d: u8, e: i8)"),
        ("void f(_Bool a, bool b, const _Bool *c)", "f(a: bool_, b: bool_, c: const bool_ *)"),
        ("void f(const void *p, void *q, const char *s)", "f(p: const void *, q: void *, s: const void *)"),
        ("void f(const struct point *p, union u *q)", "f(p: const void *, q: void *)"),
        ("void f(const _Float16 *x, __fp16 *y, float16_t *z)", "f(x: const f16 *, y: f16 *, z: f16 *)"),
        ("void f(float const *x, float *const y)", "f(x: const f32 *, y: f32 *)"),
        ("void f(int, float *)", "f(arg0: i32, arg1: f32 *)"),
        ("void f(void)", "f()"),
        ("void f()", "f()"),
        ("int f(enum mode m)", "f(m: i32, return: Out[i32])"),
        ("double dot(int n, const double *x)", "dot(n: i32, x: const f64 *, return: Out[f64])"),
        ("size_t f(void)", "f(return: Out[u64])"),
        ('extern "C" void f(float *__restrict__ x) __attribute__((nonnull(1)));', "f(x: f32 *)"),
        ("void f(/* how many */ int n, // the rest\n float *x)", "f(n: i32, x: f32 *)"),
        ("typedef unsigned int word; word f(const word *x, word y)", "f(x: const u32 *, y: u32, return: Out[u32])"),
        ("typedef const float *input; void f(input x)", "f(x: const f32 *)"),
        ("typedef struct { int x; } point; void f(const point *p)", "f(p: const void *)"),
        ("typedef float real; void f(const real *x, real *y)", "f(x: const f32 *, y: f32 *)"),
        ("typedef unsigned char int8_t; void f(int8_t *x)", "f(x: u8 *)"),
        ("typedef enum { A, B } mode; mode f(mode *m)", "f(m: i32 *, return: Out[i32])"),
        ("void f(float complex *x, const _Complex double *y)", "f(x: void *, y: const void *)"),
        ("void *copy(void *to, const void *from, size_t n)", "copy(to: void *, from: const void *, n: u64)"),
        ("float *f(int_least16_t n, uintmax_t m)", "f(n: i16, m: u64)"),
    ],
)
def test_a_prototype_becomes_a_signature(text: str, signature: str) -> None:
    assert str(parse_prototype(text).signature) == signature


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("void f(int n, ...)", 15, "a fixed number of arguments"),
        ("void f(void (*g)(int))", 15, "'g' is a pointer to a function"),
        ("void f(float **x)", 16, "'x' is a pointer to pointers"),
        ("void f(struct s p)", 17, "'p' is a struct by value"),
        ("void f(long double x)", 20, "'x' is long double"),
        ("float _Complex f(int n)", 16, "returns float _Complex"),
        ("void f(const long double *x)", 27, "'x' points to long double"),
        ("void f(_Float16 x)", 17, "'x' is half precision by value"),
        ("void f(int n, int n)", 6, "two parameters are called 'n'"),
        ("void f(a, b)", 8, "'a' has no type"),
        ("void f(real_t *x)", 8, "'real_t' is a type that the prototype does not declare"),
        ("int f", 5, "no declaration of a function"),
        ("void f(int n) { }", 6, "no declaration of a function"),
        ("void (int n)", 6, "no C declaration"),
        ("", 1, "declares one function; this declares none"),
        ("void f(void); void g(void);", 20, "declares one function; this declares 2"),
    ],
)
def test_what_cannot_be_passed_is_refused_at_its_place(text: str, column: int, message: str) -> None:
    with pytest.raises(KernelError) as caught:
        parse_prototype(text, Place("test_it.py", 7))
    assert message in caught.value.message
    assert (caught.value.filename, caught.value.line, caught.value.column) == ("test_it.py", 7, column)


@pytest.mark.parametrize(("target", "bits"), [("aarch64-linux-gnu", 64), ("armv7l-linux-gnueabihf", 32)])
def test_elements_as_wide_as_a_pointer_have_the_targets_size(target: str, bits: int) -> None:
    function = parse_prototype("void f(const long *x, size_t *y, unsigned long z[3][4], float *a, long n)")
    assert str(function.signature_on(Target.parse(target))) == (
        f"f(x: const i{bits} *, y: u{bits} *, z: u{bits} *, a: f32 *, n: i64)"
    )


def test_the_message_shows_the_line_and_says_what_to_write() -> None:
    with pytest.raises(KernelError) as caught:
        parse_prototype("void f(int n,\n       float **x)", Place("test_it.py", 7))
    assert str(caught.value) == (
        "test_it.py:8:16: the prototype: 'x' is a pointer to pointers, which cannot come from another machine\n"
        "  float **x)\n"
        "          ^\n"
        "Take one array with all elements, and sizes or offsets."
    )
