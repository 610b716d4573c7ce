"""Kernels written as LLVM text: a source as `compile.build` takes it, without the language."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_xdevice.artifact import OpenCLProgram
from pytest_xdevice.kernel.signature import Param
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.target import Target

N = Dim("n")
SIGNATURE = Signature(
    "scale", (Param("x", ArrayType(f32, (N,), "in")), Param("y", ArrayType(f32, (N,), "out")), Param("k", f32))
)
SCALE = """
define i64 @xd_scale(ptr %args) {
entry:
  %x = load ptr, ptr %args
  %y.at = getelementptr ptr, ptr %args, i32 1
  %y = load ptr, ptr %y.at
  %k.at = getelementptr ptr, ptr %args, i32 2
  %k.ptr = load ptr, ptr %k.at
  %k = load float, ptr %k.ptr
  %n.at = getelementptr ptr, ptr %args, i32 3
  %n.ptr = load ptr, ptr %n.at
  %n = load i64, ptr %n.ptr
  br label %test
test:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %from = getelementptr float, ptr %x, i64 %i
  %value = load float, ptr %from
  %scaled = fmul float %value, %k
  %to = getelementptr float, ptr %y, i64 %i
  store float %scaled, ptr %to
  %next = add i64 %i, 1
  br label %test
end:
  ret i64 0
}
"""
# Needs libm in two generations, compiler-rt on 32-bit machines, and the C library.
CALLS = """
declare float @expf(float)
declare double @pow(double, double)
declare float @sinf(float)
declare i32 @clock_gettime(i32, ptr)
define float @calls(float %x, double %d, i64 %a, i64 %b) {
  %e = call float @expf(float %x)
  %s = call float @sinf(float %e)
  %p = call double @pow(double %d, double %d)
  %pf = fptrunc double %p to float
  %q = sdiv i64 %a, %b
  %qf = sitofp i64 %q to float
  %time = alloca [2 x i64]
  %status = call i32 @clock_gettime(i32 1, ptr %time)
  %t = sitofp i32 %status to float
  %1 = fadd float %s, %pf
  %2 = fadd float %1, %qf
  %3 = fadd float %2, %t
  ret float %3
}
"""


@dataclass(frozen=True, eq=False)
class TextKernel:
    """A kernel of the given LLVM text, whatever the target."""

    text: str = SCALE
    signature: Signature = SIGNATURE

    def llvm_ir(self, target: Target) -> str:
        return self.text

    def opencl_program(self) -> OpenCLProgram:
        raise NotImplementedError("this kernel is for the CPU")
