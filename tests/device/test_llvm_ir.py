"""Kernels in LLVM IR: where they come from, what is found of their parameters, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llvmlite.binding
import llvmlite.ir
import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import c_kernel
from pytest_xdevice import CompileError
from pytest_xdevice import KernelCrash
from pytest_xdevice import llvm_kernel
from pytest_xdevice import MemoryViolation
from pytest_xdevice import TargetError
from pytest_xdevice.compile import build
from pytest_xdevice.remote import Device

AXPY = """
define void @axpy(i32 %n, float %alpha, ptr %x, ptr noalias %y) {
entry:
  %any = icmp sgt i32 %n, 0
  br i1 %any, label %loop, label %done
loop:
  %i = phi i32 [ 0, %entry ], [ %next, %loop ]
  %from = getelementptr float, ptr %x, i32 %i
  %value = load float, ptr %from
  %scaled = fmul float %value, %alpha
  %to = getelementptr float, ptr %y, i32 %i
  %old = load float, ptr %to
  %new = fadd float %old, %scaled
  store float %new, ptr %to
  %next = add i32 %i, 1
  %more = icmp slt i32 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""
SIGNATURE = "axpy(n: i32, alpha: f32, x: const f32 *, y: f32 *)"
FOREIGN = 'target datalayout = "e-p:{bits}:{bits}"\ntarget triple = "{triple}"\n'


def ramp(size: int = 100) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(size, dtype=np.float32)


def check_axpy(device: Device, kernel: Any) -> None:
    np.testing.assert_array_equal(device.run(kernel, 100, 2.0, ramp(), np.ones(100, np.float32)), 1 + 2 * ramp())


class TestOrigins:
    def test_text_saved_and_timed(self, xdevice: Device, tmp_path: Path) -> None:
        axpy = llvm_kernel(AXPY, "axpy")
        assert str(axpy.signature) == SIGNATURE
        check_axpy(xdevice, axpy)
        function = xdevice.compile(axpy)
        assert "define" in function.artifact.llvm_ir
        assert "xd_axpy" in function.artifact.assembly
        y = xdevice.array(ramp())
        assert function.time(100, 0.0, ramp(), y, number=2, repeat=3).repeat == 3
        loaded = xdevice.load(function.artifact.save(tmp_path / "axpy.so"))
        loaded(100, -1.0, ramp(), y)
        np.testing.assert_array_equal(y, 0)

    def test_a_file_that_changes(self, xdevice: Device, tmp_path: Path) -> None:
        path = tmp_path / "axpy.ll"
        path.write_text(AXPY)
        axpy = llvm_kernel(path, "axpy")
        check_axpy(xdevice, axpy)
        path.write_text(AXPY.replace("fadd float %old", "fsub float %old") + "\n")
        given = np.ones(100, np.float32)
        np.testing.assert_array_equal(xdevice.run(axpy, 100, 2.0, ramp(), given), 1 - 2 * ramp())

    def test_bitcode_and_modules(self, xdevice: Device, tmp_path: Path) -> None:
        module = llvmlite.binding.parse_assembly(AXPY)
        check_axpy(xdevice, llvm_kernel(module, "axpy"))
        check_axpy(xdevice, llvm_kernel(module.as_bitcode()))
        (tmp_path / "axpy.bc").write_bytes(module.as_bitcode())
        check_axpy(xdevice, llvm_kernel(tmp_path / "axpy.bc", "axpy"))

    def test_a_module_of_llvmlite_that_was_built(self, xdevice: Device) -> None:
        module = llvmlite.ir.Module("built")
        double = llvmlite.ir.DoubleType()
        function = llvmlite.ir.Function(
            module, llvmlite.ir.FunctionType(double, [double.as_pointer(), llvmlite.ir.IntType(64)]), "third"
        )
        builder = llvmlite.ir.IRBuilder(function.append_basic_block())
        builder.ret(builder.load(builder.gep(function.args[0], [function.args[1]])))
        assert xdevice.run(llvm_kernel(module), np.arange(5.0), 3) == 3.0

    @pytest.mark.parametrize("flags", [["-O0"], ["-O3"]], ids=str)
    def test_what_clang_makes(self, xdevice: Device, flags: list[str]) -> None:
        text = "void twice(const unsigned char *a, short *b, unsigned n) { while (n--) b[n] = 2 * a[n]; }"
        clang = c_kernel(text, "void twice(const uint8_t *a, int16_t *b, unsigned n)", flags=flags)
        made = build(clang, xdevice.target).llvm_ir
        twice = llvm_kernel(made, "twice")
        assert [repr(param.type) for param in twice.signature.params] == ["const i8 *", "i16 *", "i32"]
        a = np.arange(200, dtype=np.uint8)
        np.testing.assert_array_equal(xdevice.run(twice, a, np.zeros(200, np.uint16), 200), 2 * a.astype(np.uint16))

    def test_what_numba_makes(self, xdevice: Device) -> None:
        class CFunc:
            __name__ = "double_it"
            _wrapper_name = "cfunc._ZN8double_itE7float32_2a"

            @staticmethod
            def __wrapped__(values: Any, n: int) -> None: ...

            def inspect_llvm(self) -> str:
                return NUMBA

        double_it = llvm_kernel(CFunc())
        assert str(double_it.signature) == "double_it(values: f32 *, n: i64)"
        np.testing.assert_array_equal(xdevice.run(double_it, ramp(), 100)[:2], [0, 2])


# In the shape that numba gives a cfunc: a function with a status, and what C calls, which returns nothing as a pointer.
NUMBA = """
define i32 @_ZN8double_itE7float32_2a(ptr %retptr, ptr %excinfo, ptr %arg.a, i64 %arg.n) noinline {
  %at = getelementptr float, ptr %arg.a, i64 1
  %old = load float, ptr %at
  %new = fmul float %old, 2.0
  store float %new, ptr %at
  store ptr null, ptr %retptr
  ret i32 0
}
define ptr @cfunc._ZN8double_itE7float32_2a(ptr %.1, i64 %.2) {
  %.4 = alloca ptr
  %.8 = call i32 @_ZN8double_itE7float32_2a(ptr %.4, ptr poison, ptr %.1, i64 %.2)
  %.9 = load ptr, ptr %.4
  ret ptr %.9
}
"""


# As clang writes a program that is not to be shared: what it calls, and how it finds its variables, no device can link.
PROGRAM = """
@here = internal thread_local global i32 7
@stdout = external dso_local global ptr
@scale = dso_local global double 2.0
define internal double @kernel_scale(ptr %values, i32 %at) #0 {
  %room = alloca [16 x i8]
  %out = load ptr, ptr @stdout
  %flushed = call i32 @fflush(ptr %out)
  %place = getelementptr double, ptr %values, i32 %at
  %value = load double, ptr %place
  %factor = load double, ptr @scale
  %scaled = fmul double %value, %factor
  ret double %scaled
}
define dso_local i32 @main() #0 {
  %memory = call ptr @library_of_the_program()
  %scaled = call double @kernel_scale(ptr %memory, i32 0)
  %own = load i32, ptr @here
  ret i32 %own
}
declare dso_local i32 @fflush(ptr)
declare ptr @library_of_the_program()
attributes #0 = { noinline nounwind optnone sspstrong uwtable }
!llvm.module.flags = !{!0, !1}
!0 = !{i32 8, !"PIC Level", i32 2}
!1 = !{i32 7, !"PIE Level", i32 2}
"""


class TestPrograms:
    def test_one_function_is_taken_without_the_rest(self, xdevice: Device) -> None:
        kernel = llvm_kernel(PROGRAM, "kernel_scale")
        assert xdevice.run(kernel, np.arange(4.0), 3) == 6.0
        assert "library_of_the_program" not in xdevice.compile(kernel).artifact.llvm_ir

    def test_variables_keep_what_they_were_given(self, xdevice: Device) -> None:
        text = """@count = dso_local global i32 5
define i32 @next() {
  %old = load i32, ptr @count
  %new = add i32 %old, 1
  store i32 %new, ptr @count
  ret i32 %new
}
define void @reset() {
  store i32 0, ptr @count
  ret void
}"""
        function = xdevice.compile(llvm_kernel(text, "next"))
        result = xdevice.empty((), np.int32)
        seen = []
        for _ in range(2):
            function(result)
            seen.append(int(result.numpy()))
        assert seen == [6, 7]


class TestParameters:
    @pytest.mark.parametrize(
        ("text", "signature"),
        [
            (
                "define void @byval(ptr %nest) {\n  %old = atomicrmw add ptr %nest, i32 1 seq_cst\n  ret void\n}",
                "byval(nest: i32 *)",
            ),
            (
                "define void @swap(ptr %p) {\n  %old = cmpxchg ptr %p, i64 1, i64 2 seq_cst seq_cst\n  ret void\n}",
                "swap(p: i64 *)",
            ),
            ("define zeroext i8 @get() {\n  ret i8 200\n}", "get(return: Out[u8])"),
            (
                "define internal i32 @sum(i32 %n, ...) noinline {\n  ret i32 %n\n}\n"
                "define i32 @call(ptr %p) {\n  %r = call i32 (i32, ...) @sum(i32 1, ptr %p)\n  ret i32 %r\n}",
                "call(p: const void *, return: Out[i32])",
            ),
            (
                "define void @part(ptr %p, i64 %i) {\n  %s = getelementptr [16 x i8], ptr %p, i64 %i\n"
                "  %n = load i32, ptr %s\n  %f = getelementptr float, ptr %s, i32 %n\n  store float 1.0, ptr %f\n"
                "  ret void\n}",
                "part(p: void *, i: i64)",
            ),
        ],
        ids=["atomic", "exchange", "unsigned", "variable", "structure"],
    )
    def test_what_the_ir_says_of_them(self, text: str, signature: str) -> None:
        assert str(llvm_kernel(text, signature.partition("(")[0]).signature) == signature

    def test_a_prototype_says_more(self, xdevice: Device) -> None:
        axpy = llvm_kernel(AXPY, "axpy", prototype="void axpy(int count, float k, const float *from, float *to)")
        assert str(axpy.signature) == "axpy(count: i32, k: f32, from: const f32 *, to: f32 *)"
        check_axpy(xdevice, axpy)

    @pytest.mark.parametrize(
        ("prototype", "message"),
        [
            ("void axpy(int n, float a, const float *x)", r"the prototype has 3 parameters, and the IR takes 4"),
            ("void axpy(int n, double a, float *x, float *y)", "says that a is double, and the IR has float"),
            ("int axpy(int n, float a, float *x, float *y)", "returns i32, and the IR returns void"),
        ],
    )
    def test_a_prototype_that_does_not_fit(self, xdevice: Device, prototype: str, message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            xdevice.compile(llvm_kernel(AXPY, "axpy", prototype=prototype))

    def test_what_is_accessed_in_several_ways_is_bytes(self, xdevice: Device) -> None:
        text = """define void @pair(ptr %p, ptr %q) {
  %second = getelementptr i8, ptr %p, i64 4
  %a = load i32, ptr %p
  %b = load float, ptr %second
  store float %b, ptr %q
  ret void
}"""
        pair = llvm_kernel(text)
        assert str(pair.signature) == "pair(p: const void *, q: f32 *)"
        np.testing.assert_array_equal(xdevice.run(pair, ramp(2), np.zeros(1, np.float32)), [1])

    @pytest.mark.parametrize(
        ("parameter", "message"),
        [
            ("<4 x float> %v", "v is <4 x float> by value"),
            ("ptr byval(i64) %s", r"passes a structure by value \(byval\)"),
            ("ptr %p, ...", "any number of arguments"),
        ],
    )
    def test_what_a_test_cannot_give(self, xdevice: Device, parameter: str, message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            xdevice.compile(llvm_kernel(f"define void @f({parameter}) {{ ret void }}", "f"))


class TestTargets:
    def test_ir_for_another_processor_of_the_same_kind_runs(self, xdevice: Device) -> None:
        bits = xdevice.info.bits
        other = {64: "mips64el-linux-gnu", 32: "mipsel-linux-gnu"}[bits]
        check_axpy(xdevice, llvm_kernel(FOREIGN.format(bits=bits, triple=other) + AXPY, "axpy"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (FOREIGN.format(bits=32, triple="armv7a-linux-gnueabihf") + AXPY, "its pointers have 32 bits"),
            (FOREIGN.format(bits=64, triple="aarch64-linux-gnu").replace("e-p", "E-p") + AXPY, "big-endian"),
            (
                FOREIGN.format(bits=64, triple="aarch64-linux-gnu")
                + 'define void @axpy() {\n  call void asm sideeffect "nop", ""()\n  ret void\n}',
                "it has inline assembly",
            ),
            (
                FOREIGN.format(bits=64, triple="aarch64-linux-gnu") + "declare void @llvm.aarch64.hint(i32)\n"
                "define void @axpy() {\n  call void @llvm.aarch64.hint(i32 1)\n  ret void\n}",
                r"it calls llvm\.aarch64\.hint",
            ),
        ],
        ids=["pointers", "endianness", "assembly", "intrinsic"],
    )
    def test_what_cannot_be_brought_to_another_target(self, text: str, message: str) -> None:
        with pytest.raises(TargetError, match=f"cannot be brought to x86_64.*: .*{message}"):
            build(llvm_kernel(text, "axpy"), "x86_64-linux-gnu")

    @pytest.mark.parametrize("target", ["aarch64-linux-gnu", "riscv64-linux-gnu", "armv7l-linux-gnueabihf"])
    def test_ir_without_a_target_is_for_any(self, target: str) -> None:
        assert build(llvm_kernel(AXPY, "axpy"), target).object

    def test_it_is_optimised_unless_it_is_to_be_left(self) -> None:
        optimised, left = (build(llvm_kernel(AXPY, "axpy", optimise=flag)).llvm_ir for flag in (True, False))
        assert "x float>" in optimised
        assert "x float>" not in left


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (AXPY.replace("fadd float %old", "fadd double %old"), r"axpy\.ll:13:22: error: '%old' defined with type"),
            (AXPY.replace("[ 0, %entry ], ", ""), r"axpy\.ll:7: PHINode should have one entry for each predecessor"),
            (AXPY.replace("@axpy", "@other"), r"axpy\.ll: the module does not define 'axpy'; it defines other"),
            (
                AXPY.replace("done:", "done:\n  call void @unknown_one()") + "declare void @unknown_one()",
                "undefined symbols for .*: unknown_one",
            ),
            (
                AXPY.replace("done:", "done:\n  call void @numba_do_raise()") + "declare void @numba_do_raise()",
                'numba_do_raise; a device has not numba.*error_model="numpy"',
            ),
        ],
        ids=["parse", "verify", "entry", "symbol", "numba"],
    )
    def test_bad_modules(self, xdevice: Device, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "axpy.ll").write_text(text)
        with pytest.raises(CompileError, match=message):
            xdevice.run(llvm_kernel(tmp_path / "axpy.ll", "axpy"), 100, 2.0, ramp(), ramp())
        check_axpy(xdevice, llvm_kernel(AXPY, "axpy"))

    def test_a_file_that_is_not_there(self, xdevice: Device) -> None:
        with pytest.raises(CompileError, match=r"test_llvm_ir\.py:\d+: cannot read nothing\.ll: No such file"):
            xdevice.compile(llvm_kernel("nothing.ll", "axpy"))

    def test_an_entry_has_to_be_chosen(self, xdevice: Device) -> None:
        with pytest.raises(CompileError, match="needs entry=, the function to be called; it defines one, axpy"):
            xdevice.compile(llvm_kernel("define void @one() { ret void }" + AXPY))

    def test_a_crash_and_an_overrun_are_reported(self, xdevice: Device) -> None:
        axpy = llvm_kernel(AXPY, "axpy")
        with pytest.raises((KernelCrash, MemoryViolation)):
            xdevice.run(axpy, 1 << 30, 2.0, ramp(), ramp())
        with pytest.raises(MemoryViolation) as violation:
            xdevice.run(axpy, 6, 2.0, ramp(6), ramp(5))
        assert (violation.value.argument, violation.value.index) == ("y", 5)
        check_axpy(xdevice, axpy)

    @pytest.mark.opencl
    def test_a_lane_that_is_not_for_it(self, xdevice: Device) -> None:
        with pytest.raises(ArgumentError, match=r"axpy is LLVM IR, which runs on a CPU"):
            xdevice.compile(llvm_kernel(AXPY, "axpy"))
