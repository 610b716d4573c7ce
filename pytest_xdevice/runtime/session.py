"""The session: the gateway process on the device. It starts workers, hands them their streams, and says how they ended.

Requests come over the control channel as tuples ``(name, arguments)``; each is answered by one item,
``("ok", result)`` or ``("error", text)``. A session that is told to end says ``("over", text)`` unasked.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Any
from typing import Callable
from typing import Dict
from typing import List
from typing import Optional
from typing import Tuple

from .call import call
from .conditions import conditions
from .faults import read_report
from .handover import send_socket
from .info import device_info
from .leftovers import sweep
from .line import Line
from .oom import OomWatch
from .output import open_log
from .output import Trimmer
from .pulse import ENDS_BY
from .pulse import Pulse
from .pulse import SILENT_SECONDS
from .relay import Relay
from .scratch import remove

_REAP_SECONDS = 3.0  # a process whose stream closed is dead or about to leave, unless a kernel keeps it
_ENDS = (signal.SIGTERM, signal.SIGHUP, ENDS_BY)

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pytest_xdevice.runtime.worker import main; main(sys.argv[2:])"
)


class _Terminated(EOFError):
    """This process was told to end."""


class Worker:
    """A worker process as the session sees it."""

    def __init__(self, process: subprocess.Popen[bytes], output: Trimmer, report: int, handoff: socket.socket) -> None:
        self.process = process
        self.oom = OomWatch()
        self.output = output
        self.report = report
        self.handoff = handoff
        output.start()

    def hand_over(self, stream: socket.socket) -> None:
        """Give the worker the stream to the host, or the socket that it gets the stream from; it is closed here."""
        send_socket(self.handoff, stream)
        self.handoff.close()
        stream.close()

    def ended(self) -> Dict[str, Any]:
        """Wait for the process and return how it ended.

        Returns
        -------
        dict
            ``signal`` or ``code``, its last ``output``, the ``fault`` that it reported, or None, whether it went on
            without its stream and was ``killed`` for that, and, where memory had run out, what `OomWatch` says of it as
            ``oom``, else None.
        """
        killed = False
        try:
            status = self.process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            killed = True
            self.process.kill()
            status = self.process.wait()
        name = signal.Signals(-status).name if status < 0 else None
        fault = read_report(self.report)
        os.close(self.report)
        code = None if status < 0 else status
        oom = self.oom.killed() if name == "SIGKILL" else None
        return {
            "signal": name, "code": code, "output": self.output.stop(), "fault": fault, "killed": killed, "oom": oom
        }  # fmt: skip


class Session:
    """Answers the host's requests until the control channel closes.

    Parameters
    ----------
    channel : execnet.Channel
    code : str
        The folder this runtime was unpacked in.
    passed : socket or None
        Where the device server passes on streams that the host opened to it, if there is a server.
    """

    def __init__(self, channel: Any, code: str, passed: Optional[socket.socket]) -> None:
        self._channel = channel
        self._code = code
        self._passed = passed
        sweep()
        self._directory = tempfile.mkdtemp(prefix="work-", dir=code)
        self._socket_path = os.path.join(self._directory, "s")
        self._workers: Dict[int, Worker] = {}
        self._count = 0
        self._relays: Dict[int, Relay] = {}
        self._line = Line()
        self._requests: Dict[str, Callable[..., Any]] = {
            "info": device_info,
            "conditions": conditions,
            "pid": os.getpid,
            "start": self._start,
            "printed": self._printed,
            "ended": self._ended,
            "call": self._call,
            "lease": self._line.lease,
            "who": self._line.who,
            "release": self._line.release,
        }

    def serve(self) -> None:
        """Answer requests; at the end of the channel end all workers and remove every file."""
        try:
            while True:
                name, arguments = self._channel.receive()
                try:
                    answer = ("ok", self._requests[name](*arguments))
                except _Terminated:
                    raise
                except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
                    answer = ("error", f"{type(error).__name__}: {error}")
                self._channel.send(answer)
        except EOFError as end:  # the host is done, or gone
            if isinstance(end, _Terminated):
                self.close()
                with suppress(OSError, EOFError):
                    self._channel.send(("over", str(end)))
                os._exit(1)  # the connection may live on, and with it execnet's main loop
        finally:
            self.close()

    def close(self) -> None:
        """End every worker and remove the session's directory; whoever tells this process to end is not to stop it."""
        for name in _ENDS:
            signal.signal(name, signal.SIG_IGN)
        for worker in self._workers.values():
            worker.process.kill()
            worker.process.wait()
        remove(self._code)
        with suppress(OSError):
            self._line.leave()

    def _start(self, options: Dict[str, Any], channel: Any = None) -> Dict[str, Any]:
        """Start a worker; return its number, and the path of a socket to connect to for its stream.

        Parameters
        ----------
        options : dict
            Of the worker. ``stream`` says how it gets its stream: "unix", "passed", or "relay";
            ``env`` which environment variables it has besides those of this process.
        channel : execnet.Channel, optional
            What carries the stream of the last kind.
        """
        self._count += 1
        number = self._count
        ours, theirs = socket.socketpair()
        log = open_log(os.path.join(self._directory, f"worker-{number}.log"))
        report, reported = os.pipe()
        files = os.path.join(self._directory, "files")
        options = dict(options, directory=self._directory, files=files, report=reported)
        command = [sys.executable, *_python_options(options), "-c", _START]
        process = subprocess.Popen(
            [*command, self._code, str(theirs.fileno()), json.dumps(options)],
            pass_fds=[theirs.fileno(), reported],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            close_fds=True,
            env=dict(os.environ, **options.get("env", {})),
        )
        theirs.close()
        os.close(reported)
        worker = self._workers[number] = Worker(process, Trimmer(log), report, ours)
        worker.hand_over(self._source(number, options["stream"], channel))
        return {"worker": number, "path": self._socket_path}

    def _source(self, number: int, way: str, channel: Any) -> socket.socket:
        """Return a worker's stream, or what it gets its stream from."""
        if way == "unix":
            return self._listener()
        if way == "passed":
            if self._passed is None:
                raise OSError("this session was not started by a server")
            return self._passed.dup()
        ours, theirs = socket.socketpair()
        self._relays[number] = Relay(ours, channel)
        return theirs

    def _listener(self) -> socket.socket:
        """Return what a worker accepts its stream from; the path is the same for each, so that one forwarding does."""
        if os.path.exists(self._socket_path):
            os.unlink(self._socket_path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self._socket_path)
        os.chmod(self._socket_path, 0o600)
        listener.listen(1)
        return listener

    def _call(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Run a Python function of the host's."""
        return call(self._channel, self._code, self._directory, request)

    def _printed(self, number: int, start: int) -> bytes:
        """Return the lines that a worker has printed, from byte `start` on, since it last told of them."""
        return self._workers[number].output.lines(start)

    def _ended(self, number: int, kill: bool) -> Dict[str, Any]:
        """Return how a worker ended; with `kill`, end it first."""
        worker = self._workers.pop(number)
        self._relays.pop(number, None)
        if kill:
            worker.process.kill()
        return worker.ended()


def _python_options(options: Dict[str, Any]) -> List[str]:
    """Leave out where Python looks for packages, which takes a third of its start: only OpenCL needs one."""
    return [] if options["kind"] == "opencl" else ["-S"]


def serve(channel: Any, code: str, passed: Optional[int], beats: Any) -> None:
    """Run a session over an execnet channel, in the main thread.

    Parameters
    ----------
    channel : execnet.Channel
    code : str
        The folder this runtime was unpacked in.
    passed : int or None
        The descriptor of the socket that a device server passes on streams by.
    beats : execnet.Channel or None
        Where something comes every few seconds for as long as the host is there, if it does.
    """
    for name in _ENDS:
        signal.signal(name, _leave)
    session = Session(channel, code, None if passed is None else socket.socket(fileno=passed))
    if beats is not None:
        beats.setcallback(_forget)
        Pulse(channel.gateway._io).start()
    signal.alarm(0)  # by which the host's first line bounded how long that may take
    session.serve()


def _forget(beat: None) -> None:
    """Take a beat from its channel, where it would be kept."""


def _leave(number: int, frame: Any) -> Tuple[()]:
    if number == ENDS_BY:
        raise _Terminated(f"nothing was heard of the host for {SILENT_SECONDS:g} s: it is gone, or its link was down")
    name = signal.Signals(number).name
    raise _Terminated(f"it was ended on the device by {name}, as `xdevice release --force` and a server that stops do")
