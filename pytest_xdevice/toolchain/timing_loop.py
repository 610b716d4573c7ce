"""The loop that times a kernel on the device: native code, in a library of its own that serves every kernel there."""

from __future__ import annotations

from typing import Final

from pytest_xdevice.kernel.signature import Signature

# As an artifact it has the form of a kernel without parameters, though its entry takes more than ``void **args``.
SIGNATURE: Final = Signature("time", ())


def timing_loop(pointer_bits: int) -> str:
    """Return the definition of ``i64 @xd_time(ptr %entry, ptr %args, i64 %number)``.

    It calls ``entry(args)`` `number` times and returns the nanoseconds of CLOCK_MONOTONIC that this took. The fields
    of ``timespec`` have the width of a pointer, as in glibc.
    """
    field = f"i{pointer_bits}"
    read = "\n".join(
        _elapsed_field(name, field, offset, pointer_bits // 8)
        for name, offset in (("seconds", 0), ("fraction", pointer_bits // 8))
    )
    return f"""\
define i64 @xd_time(ptr %entry, ptr %args, i64 %number) nounwind {{
begin:
  %before = alloca [2 x {field}], align 8
  %after = alloca [2 x {field}], align 8
  %started = call i32 @clock_gettime(i32 1, ptr %before)
  %any = icmp sgt i64 %number, 0
  br i1 %any, label %loop, label %end
loop:
  %done = phi i64 [ 0, %begin ], [ %next, %loop ]
  %status = call i64 %entry(ptr %args)
  %next = add nuw nsw i64 %done, 1
  %more = icmp slt i64 %next, %number
  br i1 %more, label %loop, label %end
end:
  %stopped = call i32 @clock_gettime(i32 1, ptr %after)
{read}
  %whole = mul i64 %seconds, 1000000000
  %elapsed = add i64 %whole, %fraction
  ret i64 %elapsed
}}

declare i32 @clock_gettime(i32, ptr) nounwind"""


def _elapsed_field(name: str, field: str, offset: int, align: int) -> str:
    """Return the lines that define ``%<name>`` as the difference of one field of the two timespecs."""
    lines = []
    for clock in ("before", "after"):
        lines.append(f"  %{name}.{clock}.at = getelementptr i8, ptr %{clock}, i32 {offset}")
        lines.append(f"  %{name}.{clock} = load {field}, ptr %{name}.{clock}.at, align {align}")
    if field == "i64":
        lines.append(f"  %{name} = sub i64 %{name}.after, %{name}.before")
    else:
        lines.append(f"  %{name}.narrow = sub {field} %{name}.after, %{name}.before")
        lines.append(f"  %{name} = sext {field} %{name}.narrow to i64")
    return "\n".join(lines)
