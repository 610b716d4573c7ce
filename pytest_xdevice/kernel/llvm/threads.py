"""Print, as LLVM IR text, the threads that run the parallel loops of one kernel: the device's own, in native code.

A loop is cut into chunks of its outermost extent. The caller publishes them and takes chunks itself until none is
left; threads that are awake in time take some too, so that a late thread costs nothing, and none is needed at all
where the device refuses to make one. Threads are made at the first loop that is worth it, look for the next loop for
a few microseconds, then sleep on a futex, and leave when nothing came for a second. Unloading the library ends them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# A chunk of fewer innermost iterations than this is not worth waking a thread for: that takes some microseconds.
CHUNK_ITERATIONS: Final = 16384
# Chunks for each thread: more of them even out threads that start late or run beside another process.
_CHUNKS_PER_THREAD: Final = 4
_SPINS: Final = 1000
_CACHE_LINE: Final = 64
# <asm/unistd.h> of each architecture.
_FUTEX: Final = {"x86_64": 202, "i686": 240, "arm": 240, "aarch64": 98, "riscv64": 98}
_FUTEX_WAIT_PRIVATE: Final = 128
_FUTEX_WAKE_PRIVATE: Final = 129
# What tells a processor that a loop waits for another one.
_PAUSE: Final = {
    "x86_64": ("call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"),
    "aarch64": ("call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"),
}


@dataclass(frozen=True)
class Threads:
    """How many threads run a kernel's parallel loops, the caller's included, and on what.

    Attributes
    ----------
    count : int
        2 to 256.
    arch : str
        Architecture of the target, as `Target.arch` has it.
    chunk : int
        Innermost iterations that a chunk stands for at least.
    """

    count: int
    arch: str
    chunk: int = CHUNK_ITERATIONS


def thread_pool(threads: Threads, pointer_bits: int) -> str:
    """Return the definition of ``void @xd.pool.run(ptr %function, ptr %frame, i64 %start, i64 %stop, i64 %weight)``.

    It calls ``function(frame, first, limit)`` for chunks that make up ``start`` to ``stop``, in any order and on
    several threads, and returns when all are done. `weight` is about how many innermost iterations one step stands
    for; it decides how small a chunk may be. What runs while another thread is in it runs on its caller alone.
    """
    return "\n\n".join(
        (_state(threads.count), _run(threads), _WEIGHT, _ENSURE, _WORK, _thread(threads.arch, pointer_bits),
         _wait(threads.arch), _STOP, _futex(threads.arch, pointer_bits), _DECLARATIONS)
    ).replace("COUNT", str(threads.count - 1))  # fmt: skip


def _state(count: int) -> str:
    words = "\n".join(
        f"@xd.pool.{name} = internal global i32 0, align {_CACHE_LINE}"
        for name in ("busy", "remaining", "pending", "epoch", "sleepers", "waiting", "stopping", "owner")
    )
    return f"""\
; The loop that is being run: function, frame, first step, end, steps in a chunk, number of chunks.
@xd.pool.job = internal global {{ ptr, ptr, i64, i64, i64, i32 }} zeroinitializer, align {_CACHE_LINE}
{words}
@xd.pool.handles = internal global [{count - 1} x ptr] zeroinitializer
; 0: there is no such thread; 1: it runs; 2: it has left and is yet to be joined.
@xd.pool.states = internal global [{count - 1} x i32] zeroinitializer, align {_CACHE_LINE}
@xd.pool.at.unload = internal global ptr @xd.pool.stop, section ".fini_array"
@llvm.used = appending global [1 x ptr] [ptr @xd.pool.at.unload], section "llvm.metadata\""""


def _run(threads: Threads) -> str:
    chunks = threads.count * _CHUNKS_PER_THREAD
    return f"""\
define internal void @xd.pool.run(ptr %function, ptr %frame, i64 %start, i64 %stop, i64 %weight) noinline nounwind {{
begin:
  %any = icmp slt i64 %start, %stop
  br i1 %any, label %divide, label %end
divide:
  %steps = sub i64 %stop, %start
  %above = add i64 %weight, {threads.chunk - 1}
  %least = udiv i64 %above, %weight
  %steps.up = add i64 %steps, {chunks - 1}
  %even = udiv i64 %steps.up, {chunks}
  %is.even = icmp ult i64 %least, %even
  %grain.exact = select i1 %is.even, i64 %even, i64 %least
  ; Where it makes no difference otherwise, whole cache lines of any element: two threads do not write to one.
  %long = icmp ugt i64 %grain.exact, {4 * _CACHE_LINE}
  %rounding = select i1 %long, i64 {_CACHE_LINE - 1}, i64 0
  %grain.up = add i64 %grain.exact, %rounding
  %mask = xor i64 %rounding, -1
  %grain = and i64 %grain.up, %mask
  %one = icmp ule i64 %steps, %grain
  br i1 %one, label %alone, label %enter
enter:
  %entered = cmpxchg ptr @xd.pool.busy, i32 0, i32 1 acquire monotonic
  %free = extractvalue {{ i32, i1 }} %entered, 1
  br i1 %free, label %publish, label %alone
alone:
  call void %function(ptr %frame, i64 %start, i64 %stop)
  br label %end
publish:
  call void @xd.pool.ensure()
  %last = add i64 %steps, %grain
  %last.step = sub i64 %last, 1
  %chunks.wide = udiv i64 %last.step, %grain
  %chunks = trunc i64 %chunks.wide to i32
  store ptr %function, ptr @xd.pool.job
  store ptr %frame, ptr getelementptr ({{ ptr, ptr, i64, i64, i64, i32 }}, ptr @xd.pool.job, i32 0, i32 1)
  store i64 %start, ptr getelementptr ({{ ptr, ptr, i64, i64, i64, i32 }}, ptr @xd.pool.job, i32 0, i32 2)
  store i64 %stop, ptr getelementptr ({{ ptr, ptr, i64, i64, i64, i32 }}, ptr @xd.pool.job, i32 0, i32 3)
  store i64 %grain, ptr getelementptr ({{ ptr, ptr, i64, i64, i64, i32 }}, ptr @xd.pool.job, i32 0, i32 4)
  store i32 %chunks, ptr getelementptr ({{ ptr, ptr, i64, i64, i64, i32 }}, ptr @xd.pool.job, i32 0, i32 5)
  store atomic i32 %chunks, ptr @xd.pool.pending monotonic, align 4
  store atomic i32 %chunks, ptr @xd.pool.remaining release, align 4
  %former = atomicrmw add ptr @xd.pool.epoch, i32 1 seq_cst
  %asleep = load atomic i32, ptr @xd.pool.sleepers seq_cst, align 4
  %quiet = icmp eq i32 %asleep, 0
  br i1 %quiet, label %work, label %wake
wake:
  call void @xd.pool.wake(ptr @xd.pool.epoch)
  br label %work
work:
  %more = call i1 @xd.pool.work()
  br i1 %more, label %work, label %wait
wait:
  call void @xd.pool.wait()
  store atomic i32 0, ptr @xd.pool.busy release, align 4
  br label %end
end:
  ret void
}}"""


_WEIGHT: Final = """\
; What a loop of this extent stands for, within bounds that no product overflows.
define internal i64 @xd.pool.weight(i64 %weight, i64 %start, i64 %stop) nounwind {
  %count = sub i64 %stop, %start
  %any = icmp sgt i64 %count, 1
  %some = select i1 %any, i64 %count, i64 1
  %huge = icmp sgt i64 %some, 1048576
  %extent = select i1 %huge, i64 1048576, i64 %some
  %heavy = icmp sgt i64 %weight, 2147483648
  %bounded = select i1 %heavy, i64 2147483648, i64 %weight
  %product = mul i64 %bounded, %extent
  ret i64 %product
}"""

_ENSURE: Final = """\
; Make the threads that there should be; where the device refuses one, those that there are must do.
define internal void @xd.pool.ensure() nounwind {
begin:
  %self = call i32 @getpid()
  %owner = load i32, ptr @xd.pool.owner
  %own = icmp eq i32 %self, %owner
  br i1 %own, label %next, label %fresh
fresh:
  ; A process that was forked off another has none of its threads.
  store i32 %self, ptr @xd.pool.owner
  store i32 0, ptr @xd.pool.sleepers
  store [COUNT x i32] zeroinitializer, ptr @xd.pool.states
  br label %next
next:
  %slot = phi i32 [ 0, %begin ], [ 0, %fresh ], [ %following, %made ]
  %handle = getelementptr ptr, ptr @xd.pool.handles, i32 %slot
  %state = getelementptr i32, ptr @xd.pool.states, i32 %slot
  %now = load atomic i32, ptr %state acquire, align 4
  switch i32 %now, label %made [ i32 0, label %make
                                 i32 2, label %join ]
join:
  %left = load ptr, ptr %handle
  %joined = call i32 @pthread_join(ptr %left, ptr null)
  br label %make
make:
  store atomic i32 1, ptr %state release, align 4
  %refused = call i32 @pthread_create(ptr %handle, ptr null, ptr @xd.pool.thread, ptr %state)
  %success = icmp eq i32 %refused, 0
  br i1 %success, label %made, label %without
without:
  store atomic i32 0, ptr %state release, align 4
  ret void
made:
  %following = add i32 %slot, 1
  %all = icmp eq i32 %following, COUNT
  br i1 %all, label %end, label %next
end:
  ret void
}"""

_WORK: Final = """\
; Take one chunk and run it; false when none is left. Whoever lowers `remaining` owns a chunk of the loop that is
; published, which therefore cannot end, nor another begin, before that chunk is done.
define internal i1 @xd.pool.work() nounwind {
begin:
  %first.seen = load atomic i32, ptr @xd.pool.remaining monotonic, align 4
  br label %try
try:
  %seen = phi i32 [ %first.seen, %begin ], [ %now, %take ]
  %none = icmp eq i32 %seen, 0
  br i1 %none, label %end, label %take
take:
  %fewer = sub i32 %seen, 1
  %pair = cmpxchg ptr @xd.pool.remaining, i32 %seen, i32 %fewer acquire monotonic
  %now = extractvalue { i32, i1 } %pair, 0
  %won = extractvalue { i32, i1 } %pair, 1
  br i1 %won, label %chunk, label %try
chunk:
  %function = load ptr, ptr @xd.pool.job
  %frame = load ptr, ptr getelementptr ({ ptr, ptr, i64, i64, i64, i32 }, ptr @xd.pool.job, i32 0, i32 1)
  %start = load i64, ptr getelementptr ({ ptr, ptr, i64, i64, i64, i32 }, ptr @xd.pool.job, i32 0, i32 2)
  %stop = load i64, ptr getelementptr ({ ptr, ptr, i64, i64, i64, i32 }, ptr @xd.pool.job, i32 0, i32 3)
  %grain = load i64, ptr getelementptr ({ ptr, ptr, i64, i64, i64, i32 }, ptr @xd.pool.job, i32 0, i32 4)
  %chunks = load i32, ptr getelementptr ({ ptr, ptr, i64, i64, i64, i32 }, ptr @xd.pool.job, i32 0, i32 5)
  %number = sub i32 %chunks, %seen
  %number.wide = zext i32 %number to i64
  %offset = mul i64 %number.wide, %grain
  %first = add i64 %start, %offset
  %left = sub i64 %stop, %first
  %is.last = icmp ult i64 %left, %grain
  %steps = select i1 %is.last, i64 %left, i64 %grain
  %limit = add i64 %first, %steps
  call void %function(ptr %frame, i64 %first, i64 %limit)
  %before = atomicrmw sub ptr @xd.pool.pending, i32 1 seq_cst
  %last = icmp eq i32 %before, 1
  br i1 %last, label %finished, label %done
finished:
  %awaited = load atomic i32, ptr @xd.pool.waiting seq_cst, align 4
  %nobody = icmp eq i32 %awaited, 0
  br i1 %nobody, label %done, label %wake
wake:
  call void @xd.pool.wake(ptr @xd.pool.pending)
  br label %done
done:
  ret i1 true
end:
  ret i1 false
}"""


def _thread(arch: str, pointer_bits: int) -> str:
    return f"""\
; What each thread does; %state is its entry in @xd.pool.states.
define internal ptr @xd.pool.thread(ptr %state) nounwind {{
begin:
  %second = alloca [2 x i{pointer_bits}], align 8
  %fraction = getelementptr i{pointer_bits}, ptr %second, i32 1
  store i{pointer_bits} 1, ptr %second
  store i{pointer_bits} 0, ptr %fraction
  br label %again
again:
  ; Read before looking for work: whatever is published later changes it.
  %epoch = load atomic i32, ptr @xd.pool.epoch acquire, align 4
  br label %work
work:
  %more = call i1 @xd.pool.work()
  br i1 %more, label %work, label %idle
idle:
  %stopping = load atomic i32, ptr @xd.pool.stopping acquire, align 4
  %stays = icmp eq i32 %stopping, 0
  br i1 %stays, label %spin, label %leave
spin:
  %turn = phi i32 [ 0, %idle ], [ %turns, %still ]
  %now = load atomic i32, ptr @xd.pool.epoch acquire, align 4
  %same = icmp eq i32 %now, %epoch
  br i1 %same, label %still, label %again
still:
{_pause(arch)}  %turns = add i32 %turn, 1
  %patient = icmp ult i32 %turns, {_SPINS}
  br i1 %patient, label %spin, label %sleep
sleep:
  %awake = atomicrmw add ptr @xd.pool.sleepers, i32 1 seq_cst
  call void @xd.pool.sleep(ptr @xd.pool.epoch, i32 %epoch, ptr %second)
  %asleep = atomicrmw sub ptr @xd.pool.sleepers, i32 1 seq_cst
  %after = load atomic i32, ptr @xd.pool.epoch acquire, align 4
  %nothing = icmp eq i32 %after, %epoch
  br i1 %nothing, label %leave, label %again
leave:
  store atomic i32 2, ptr %state release, align 4
  ret ptr null
}}"""


def _wait(arch: str) -> str:
    return f"""\
; Wait until every chunk is done.
define internal void @xd.pool.wait() nounwind {{
begin:
  br label %spin
spin:
  %turn = phi i32 [ 0, %begin ], [ %turns, %still ]
  %left = load atomic i32, ptr @xd.pool.pending acquire, align 4
  %done = icmp eq i32 %left, 0
  br i1 %done, label %end, label %still
still:
{_pause(arch)}  %turns = add i32 %turn, 1
  %patient = icmp ult i32 %turns, {_SPINS}
  br i1 %patient, label %spin, label %announce
announce:
  store atomic i32 1, ptr @xd.pool.waiting seq_cst, align 4
  br label %check
check:
  %pending = load atomic i32, ptr @xd.pool.pending seq_cst, align 4
  %finished = icmp eq i32 %pending, 0
  br i1 %finished, label %awake, label %sleep
sleep:
  call void @xd.pool.sleep(ptr @xd.pool.pending, i32 %pending, ptr null)
  br label %check
awake:
  store atomic i32 0, ptr @xd.pool.waiting monotonic, align 4
  br label %end
end:
  ret void
}}"""


_STOP: Final = """\
; End the threads before their code is unmapped. They are not there in a process that was forked off theirs.
define internal void @xd.pool.stop() nounwind {
begin:
  %self = call i32 @getpid()
  %owner = load i32, ptr @xd.pool.owner
  %own = icmp eq i32 %self, %owner
  br i1 %own, label %ask, label %end
ask:
  store atomic i32 1, ptr @xd.pool.stopping release, align 4
  %former = atomicrmw add ptr @xd.pool.epoch, i32 1 seq_cst
  call void @xd.pool.wake(ptr @xd.pool.epoch)
  br label %next
next:
  %slot = phi i32 [ 0, %ask ], [ %following, %gone ]
  %state = getelementptr i32, ptr @xd.pool.states, i32 %slot
  %now = load atomic i32, ptr %state acquire, align 4
  %never = icmp eq i32 %now, 0
  br i1 %never, label %gone, label %join
join:
  %place = getelementptr ptr, ptr @xd.pool.handles, i32 %slot
  %handle = load ptr, ptr %place
  %joined = call i32 @pthread_join(ptr %handle, ptr null)
  store atomic i32 0, ptr %state release, align 4
  br label %gone
gone:
  %following = add i32 %slot, 1
  %all = icmp eq i32 %following, COUNT
  br i1 %all, label %end, label %next
end:
  ret void
}"""

_DECLARATIONS: Final = """\
declare i32 @pthread_create(ptr, ptr, ptr, ptr) nounwind
declare i32 @pthread_join(ptr, ptr) nounwind
declare i32 @getpid() nounwind"""


def _futex(arch: str, pointer_bits: int) -> str:
    long = f"i{pointer_bits}"
    call = f"call {long} ({long}, ...) @syscall({long} {_FUTEX[arch]}, ptr %word"
    declared = _PAUSE[arch][1] if arch in _PAUSE else ""
    return f"""\
define internal void @xd.pool.sleep(ptr %word, i32 %value, ptr %timeout) nounwind {{
  %status = {call}, i32 {_FUTEX_WAIT_PRIVATE}, i32 %value, ptr %timeout, ptr null, i32 0)
  ret void
}}

define internal void @xd.pool.wake(ptr %word) nounwind {{
  %status = {call}, i32 {_FUTEX_WAKE_PRIVATE}, i32 2147483647, ptr null, ptr null, i32 0)
  ret void
}}

declare {long} @syscall({long}, ...) nounwind
{declared}"""


def _pause(arch: str) -> str:
    return f"  {_PAUSE[arch][0]}\n" if arch in _PAUSE else ""
