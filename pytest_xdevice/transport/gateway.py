"""Starting one of execnet's gateways on a device, over a pipe or a socket.

execnet is in maintenance mode, so the private names used here (`Gateway`, `bootstrap_exec`, `Group._register`,
`Popen2IO`) are pinned by the dependency's range and by a contract test.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import Final

import execnet
from execnet import gateway_base
from execnet import gateway_bootstrap

from ..errors import DeviceLost
from ..errors import DeviceUnreachable
from ..runtime import gateway_io
from .control import Control
from .control import Refusal
from .process_tree import end_descendants
from .pulse import SharedPipe

BOOT_SECONDS: Final = 30.0
_EXIT_SECONDS: Final = 0.5
NEEDS: Final = "The device needs Python 3.8 or newer, and a folder for temporary files"
# A host that vanishes before there is a session leaves it to the alarm to end this.
BOOT_LINE: Final = f"import signal,sys;signal.alarm({BOOT_SECONDS + 10:.0f});exec(eval(sys.stdin.readline()))"


class PipeIO(gateway_base.Popen2IO):
    """execnet's message stream over the pipes of a local process that we started."""

    def __init__(self, process: subprocess.Popen[bytes], kill: Callable[[], None], execmodel: Any) -> None:
        super().__init__(process.stdin, process.stdout, execmodel=execmodel)
        self._process = process
        self._kill = kill
        self._pipe = SharedPipe(self.outfile.fileno())
        self.begin_beats = self._pipe.begin_beats
        self.end_beats = self._pipe.end_beats

    def write(self, data: bytes) -> None:
        """Write all of `data`, whole even when several threads write, and another process does."""
        with self._pipe.locked():
            super().write(data)

    def wait(self) -> int:
        """Wait for the process to end."""
        return self._process.wait()

    def kill(self) -> None:
        """End the process."""
        self._kill()


class SocketIO(gateway_io.SocketIO):
    """execnet's message stream over a connected socket."""

    def __init__(self, sock: Any, execmodel: Any) -> None:
        super().__init__(sock, execmodel)
        self._pipe = SharedPipe(sock.fileno())
        self.begin_beats = self._pipe.begin_beats
        self.end_beats = self._pipe.end_beats

    def write(self, data: bytes) -> None:
        """Write all of `data`, whole even when several threads write, and another process does."""
        with self._pipe.locked():
            super().write(data)


def over_process(
    command: Sequence[str],
    *,
    label: str,
    advise: Callable[[str, int | None], str] | None = None,
    is_ssh: bool = False,
    beats: bool = True,
) -> Control:
    """Open a gateway to the Python that `command` starts, which reads its first line from stdin.

    Parameters
    ----------
    command : sequence of str
        It must end in a Python's ``-c BOOT_LINE`` on the device.
    label : str
        What to call the device in messages.
    advise : callable, optional
        Given what the command said and its exit status, returns the sentence that says what to do when it fails.
    is_ssh : bool
        Whether it is ssh, which asks nothing of a terminal. It is started in a session of its own: what the terminal
        sends passes it by, and it is killed with all that it started.
    beats : bool
        Whether the device may be another machine, and is to hear that this one is still there.

    Raises
    ------
    DeviceUnreachable
    """
    with tempfile.TemporaryFile() as errors:
        try:
            with _not_stopped_by_the_terminal():
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=is_ssh
                )
        except OSError as error:
            raise DeviceUnreachable(f"{label}: cannot run {command[0]!r}: {error.strerror}") from None

        control: Control | None = None

        def kill() -> None:
            if not is_ssh:
                if control is None:  # a shell's child would go on, and hold the pipes that a session is waited for at
                    end_descendants(process.pid)
                with contextlib.suppress(PermissionError):  # sudo is another user's process, which ends by itself
                    process.kill()
            elif process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

        def explain() -> str:
            status = _status(process)
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
            reason = (said or "it said nothing") + (f" (exit status {status})" if status is not None else "")
            return f"{reason}. {advise(said, status) if advise else NEEDS}"

        try:
            control = _open(
                lambda execmodel: PipeIO(process, kill, execmodel),
                gateway_bootstrap.bootstrap_exec,
                label,
                explain,
                beats,
            )
        except BaseException:
            kill()
            _reap(process)
            raise
        return control


@contextlib.contextmanager
def _not_stopped_by_the_terminal() -> Iterator[None]:
    """Have what is started in the block go on at Ctrl-Z, as the device does, which hears nothing otherwise."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _status(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit status of a process whose stream ended, which it may outlive by a moment."""
    try:
        return process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError, ValueError):
            stream and stream.close()


def over_socket(sock: Any, label: str, *, beats: bool = False, meanwhile: Callable[[], None] = lambda: None) -> Control:
    """Open a gateway over an authenticated connection whose other end executes one line of source.

    Parameters
    ----------
    sock : socket
    label : str
        What to call the device in messages.
    beats : bool
        Whether TCP does not tell the device that this machine is still there. They go past TLS: not with that.
    meanwhile : callable
        Called while the device starts the session.

    Raises
    ------
    DeviceUnreachable
    """

    def bootstrap(io: Any, spec: Any) -> None:
        gateway_bootstrap.sendexec(
            io,
            inspect.getsource(gateway_base),
            inspect.getsource(gateway_io).replace("from __future__ import annotations\n", ""),
            "io = SocketIO(clientsock, get_execmodel('thread'))",
            f"serve(io, id='{spec.id}-worker')",
        )

    return _open(
        lambda execmodel: SocketIO(sock, execmodel),
        bootstrap,
        label,
        lambda: f"the server closed the connection. {NEEDS}",
        beats,
        meanwhile,
    )


def _open(
    make_io: Callable[[Any], Any],
    bootstrap: Callable[[Any, Any], None],
    label: str,
    explain: Callable[[], str],
    beats: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
) -> Control:
    group = execnet.Group()
    spec = execnet.XSpec("popen")
    group.allocate_id(spec)
    spec.execmodel = group.remote_execmodel.backend
    io = make_io(group.execmodel)
    # Nothing else ends a read from a peer that stays silent.
    silent = threading.Event()

    def give_up() -> None:
        silent.set()
        io.kill()

    alarm = threading.Timer(BOOT_SECONDS, give_up)
    alarm.daemon = True
    alarm.start()
    try:
        bootstrap(io, spec)
        gateway = execnet.Gateway(io, spec)
        group._register(gateway)
        control = Control(group, gateway, io, beats=beats)
        control.post("info", timeout=BOOT_SECONDS)
        meanwhile()
        control.info = control.answer("start", BOOT_SECONDS)
    except (AssertionError, EOFError, OSError, DeviceLost, gateway_bootstrap.HostNotFound) as error:
        reason = f"no answer within {BOOT_SECONDS:g} s; " if silent.is_set() else ""
        if isinstance(error, Refusal):
            reason += str(error)
        else:
            reason += f"{error}; {explain()}" if isinstance(error, DeviceLost) else explain()
        io.kill()
        io.end_beats()
        group.terminate(timeout=1.0)
        raise DeviceUnreachable(f"{label}: no session could be started: {reason}") from None
    except BaseException:
        io.kill()
        io.end_beats()
        raise
    finally:
        alarm.cancel()
    return control
