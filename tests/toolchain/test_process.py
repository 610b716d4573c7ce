"""The life of the compiler process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_xdevice.errors import CompileError
from pytest_xdevice.toolchain.llvm import CompilerProcess
from pytest_xdevice.toolchain.llvm import Machine
from pytest_xdevice.toolchain.llvm import UnrecognisedName
from tests.toolchain.text_kernel import SCALE

X86 = Machine("x86_64-unknown-linux-gnu")


@pytest.fixture
def process() -> Iterator[CompilerProcess]:
    process = CompilerProcess()
    yield process
    process.close()


def test_nothing_is_started_before_the_first_request(process: CompilerProcess) -> None:
    assert process._child is None
    process.warm_up()
    assert process._child is not None


def test_it_is_started_once(process: CompilerProcess) -> None:
    assert process.ping() == process.ping()


def test_closing_leaves_no_process_and_a_request_starts_another(process: CompilerProcess) -> None:
    pid = process.ping()
    process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    process.close()
    assert process.compile(SCALE, X86).object.startswith(b"\x7fELF")


def test_it_ends_with_its_parent() -> None:
    program = (
        "import os\n"
        "from pytest_xdevice.toolchain.llvm import shared\n"
        "print(shared().ping(), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        watched = _watch(pid)
        assert parent.wait() == -signal.SIGKILL
    if watched is not None:
        _await_end(watched)


def test_an_exit_waits_for_it() -> None:
    program = "from pytest_xdevice.toolchain.llvm import shared\nprint(shared().ping(), flush=True)\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_a_forked_process_gets_one_of_its_own(process: CompilerProcess) -> None:
    mine = process.ping()
    reading, writing = os.pipe()
    forked = os.fork()
    if forked == 0:
        status = 1
        try:
            os.write(writing, str(process.ping()).encode())
            process.close()
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as stream:
        theirs = int(stream.read())
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert theirs != mine
    assert process.ping() == mine


def test_a_request_that_was_interrupted_leaves_no_answer_behind(process: CompilerProcess) -> None:
    first = process.ping()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    os.kill(first, signal.SIGSTOP)  # so that the request waits
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            process.compile(SCALE, X86)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert process.enabled(["sse3"], X86) == frozenset()
    assert process.ping() != first


def test_an_error_in_a_request_keeps_the_process(process: CompilerProcess) -> None:
    pid = process.ping()
    with pytest.raises(CompileError, match="expected top-level entity"):
        process.compile("frob\n", X86)
    with pytest.raises(CompileError, match="No available targets are compatible"):
        process.compile(SCALE, Machine("frob-unknown-linux-gnu"))
    assert process.ping() == pid


def test_an_unknown_name_is_refused_each_time_and_harms_no_other_request(process: CompilerProcess) -> None:
    unknown = Machine(X86.triple, features="+frob")
    for _ in range(2):
        with pytest.raises(UnrecognisedName) as refused:
            process.compile(SCALE, unknown)
        assert (refused.value.kind, refused.value.name) == ("feature", "+frob")
        with pytest.raises(UnrecognisedName):
            process.enabled(["sse3"], unknown)
        assert process.enabled(["sse3", "avx2"], Machine(X86.triple, "haswell")) == {"sse3", "avx2"}
        assert process.enabled(["sse3"], X86) == frozenset()


def test_what_is_compiled_does_not_depend_on_what_was_compiled_before(process: CompilerProcess) -> None:
    machines = [X86, Machine(X86.triple, "haswell"), Machine("aarch64-unknown-linux-gnu", "cortex-a53")]
    first = [process.compile(SCALE, machine) for machine in machines]
    assert [process.compile(SCALE, machine) for machine in reversed(machines)] == first[::-1]
    process.close()
    assert [process.compile(SCALE, machine) for machine in reversed(machines)] == first[::-1]


def test_a_module_that_shadows_llvm_in_the_working_directory_does_no_harm(
    process: CompilerProcess, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("llvmlite.py", "json.py", "cache.py"):
        with open(os.path.join(tmp_path, name), "w") as file:
            file.write("raise ImportError('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    assert process.compile(SCALE, X86).object


def _watch(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _await_end(descriptor: int) -> None:
    """Wait until the process behind a pidfd has ended: that is when it becomes readable."""
    try:
        assert select.select([descriptor], [], [], 30)[0], "the compiler process outlives its parent"
    finally:
        os.close(descriptor)
