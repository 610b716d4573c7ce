"""What reports the address at which a kernel faulted: native code, since nothing else may run in a signal's handler.

It is a library of its own that serves every kernel there, and needs no other library: the worker puts the addresses of
the functions that it calls into `xd_fault_block`. `runtime.faults` has the layout of that block, and what is made of
the report.
"""

from __future__ import annotations

from typing import Final

from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.runtime.faults import BLOCK_BYTES
from pytest_xdevice.runtime.faults import FUNCTIONS
from pytest_xdevice.runtime.faults import READ
from pytest_xdevice.runtime.faults import REPORT_AT
from pytest_xdevice.runtime.faults import UNKNOWN
from pytest_xdevice.runtime.faults import WRITE

# As an artifact it has the form of a kernel without parameters, though its entry is a signal's handler.
SIGNATURE: Final = Signature("fault", ())

# Where `ucontext_t` of <asm/ucontext.h> and <asm/sigcontext.h> has the stack pointer.
_STACK_POINTER: Final = {"x86_64": 160, "i686": 48, "aarch64": 432, "arm": 84, "riscv64": 192}
# Where it has the processor's word on the fault, and which bit of it means that something was written.
_ERROR_CODE: Final = {"x86_64": (192, 1), "i686": (72, 1), "arm": (24, 11)}
_PAGE_FAULTS: Final = {"x86_64": (200, 14), "i686": (68, 14)}  # where the kind of fault is, and the one that has it
# On AArch64 it is in one of the records that follow the registers.
_RECORDS: Final = 464
_ESR_MAGIC: Final = 0x45535201
_ESR_WRITE: Final = 6
_PROGRAM_COUNTER: Final = {"x86_64": 168, "i686": 76, "aarch64": 440, "arm": 92, "riscv64": 176}
_SIGINFO_ADDRESS: Final = {32: 12, 64: 16}  # of `siginfo_t.si_addr`


def fault_reporter(arch: str, bits: int) -> str:
    """Return the definitions of ``void @xd_fault(i32 %signal, ptr %info, ptr %context)`` and ``@xd_fault_block``.

    The first thread that faults completes the report, writes it, takes the handler off and raises the signal again,
    so that the process ends as it would have. Others wait for that end.
    """
    functions = "\n".join(f"  %libc.{name} = load ptr, {_at(8 * i)}, align 8" for i, name in enumerate(FUNCTIONS))
    return f"""\
@xd_fault_block = global [{BLOCK_BYTES} x i8] zeroinitializer, align 16
@taken = internal global i32 0

define void @xd_fault(i32 %signal, ptr %info, ptr %context) nounwind {{
begin:
{functions}
  %before = atomicrmw xchg ptr @taken, i32 1 seq_cst
  %first = icmp eq i32 %before, 0
  br i1 %first, label %report, label %wait
wait:
  %woken = call i32 %libc.pause()
  br label %wait
report:
  %code.at = getelementptr i8, ptr %info, i32 8
  %code = load i32, ptr %code.at, align 4
  %address.at = getelementptr i8, ptr %info, i32 {_SIGINFO_ADDRESS[bits]}
{_word("address", bits)}
  %sp.at = getelementptr i8, ptr %context, i32 {_STACK_POINTER[arch]}
{_word("sp", bits)}
  %pc.at = getelementptr i8, ptr %context, i32 {_PROGRAM_COUNTER[arch]}
{_word("pc", bits)}
{_access(arch, bits)}
send:
  %access = phi i64 {_INCOMING[_kind(arch)]}
{_store("i32", "signal", 0)}
{_store("i32", "code", 4)}
{_store("i64", "address", 8)}
{_store("i64", "sp", 16)}
{_store("i64", "access", 24)}
{_store("i64", "pc", 32)}
  %descriptor = load i32, {_at(REPORT_AT - 8)}, align 4
  %length = load i32, {_at(REPORT_AT - 4)}, align 4
  {"%wide = add i32 %length, 0" if bits == 32 else "%wide = zext i32 %length to i64"}
  %written = call i{bits} %libc.write(i32 %descriptor, {_at(REPORT_AT)}, i{bits} %wide)
  %former = call ptr %libc.signal(i32 %signal, ptr null)
  %raised = call i32 %libc.raise(i32 %signal)
  ret void
}}"""


_INCOMING: Final = {
    "error code": f"[ {UNKNOWN}, %report ], [ %found, %known ]",
    "records": f"[ {UNKNOWN}, %unknown ], [ %found, %known ]",
    "nothing": f"[ {UNKNOWN}, %report ]",
}


def _kind(arch: str) -> str:
    return "records" if arch == "aarch64" else "error code" if arch in _ERROR_CODE else "nothing"


def _at(offset: int) -> str:
    return f"ptr getelementptr (i8, ptr @xd_fault_block, i32 {offset})"


def _store(kind: str, name: str, offset: int) -> str:
    return f"  store {kind} %{name}, {_at(REPORT_AT + offset)}, align 4"


def _word(name: str, bits: int) -> str:
    """Return the lines that load a word of the processor's size as an i64."""
    if bits == 64:
        return f"  %{name} = load i64, ptr %{name}.at, align 8"
    return f"  %{name}.narrow = load i32, ptr %{name}.at, align 4\n  %{name} = zext i32 %{name}.narrow to i64"


def _access(arch: str, bits: int) -> str:
    """Return the blocks that find out whether something was read or written, up to the branch to ``send``."""
    kind = _kind(arch)
    if kind == "nothing":
        return "  br label %send"
    if kind == "records":
        return _access_by_record()
    offset, bit = _ERROR_CODE[arch]
    return f"""\
  %cause.at = getelementptr i8, ptr %context, i32 {offset}
{_word("cause", bits)}
{_is_known(arch, bits)}
  br i1 %is.known, label %known, label %send
known:
{_found(bit)}"""


def _is_known(arch: str, bits: int) -> str:
    """Return the lines that tell whether the error code is that of a page fault; emulators may leave it 0 on Arm."""
    if arch not in _PAGE_FAULTS:
        return "  %is.known = icmp ne i64 %cause, 0"
    offset, number = _PAGE_FAULTS[arch]
    return (
        f"  %trap.at = getelementptr i8, ptr %context, i32 {offset}\n{_word('trap', bits)}\n"
        f"  %is.known = icmp eq i64 %trap, {number}"
    )


def _found(bit: int) -> str:
    return f"""\
  %shifted = lshr i64 %cause, {bit}
  %is.write = trunc i64 %shifted to i1
  %found = select i1 %is.write, i64 {WRITE}, i64 {READ}
  br label %send"""


def _access_by_record() -> str:
    """Look for the record of the exception syndrome among those that end with a size of 0; at most 4096 bytes."""
    return f"""\
  br label %scan
scan:
  %offset = phi i32 [ {_RECORDS}, %report ], [ %next, %step ]
  %magic.at = getelementptr i8, ptr %context, i32 %offset
  %magic = load i32, ptr %magic.at, align 4
  %size.at = getelementptr i8, ptr %magic.at, i32 4
  %size = load i32, ptr %size.at, align 4
  %is.esr = icmp eq i32 %magic, {_ESR_MAGIC}
  br i1 %is.esr, label %known, label %more
more:
  %next = add i32 %offset, %size
  %is.last = icmp ult i32 %size, 8
  br i1 %is.last, label %unknown, label %step
step:
  %in.reach = icmp ult i32 %next, {_RECORDS + 4096 - 16}
  br i1 %in.reach, label %scan, label %unknown
unknown:
  br label %send
known:
  %cause.at = getelementptr i8, ptr %magic.at, i32 8
  %cause = load i64, ptr %cause.at, align 8
{_found(_ESR_WRITE)}"""
