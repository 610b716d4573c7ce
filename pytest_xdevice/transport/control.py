"""Talking to the session on a device, over a channel of the gateway that it was started with."""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
from collections.abc import Iterator
from typing import Any
from typing import Final

import execnet
from execnet import gateway_base

from ..bundle import runtime_archive
from ..errors import DeviceLost
from ..runtime import scratch
from ..runtime.relay import Relay

_HEADER_WORDS: Final = "couldn't load message header, "  # execnet's own
ANSWER_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
_LAST_WORD_SECONDS: Final = 0.5

# Runs on the device, in execnet's gateway, behind the source of `runtime.scratch`: unpacks the runtime and hands over
# to it. What it cannot do it says in answer to the first request.
_LAUNCH: Final = """
import sys
archive, beats = channel.receive()
try:
    code = unpack(archive)
except OSError as error:
    channel.send(("error", str(error)))
else:
    try:
        sys.path.insert(0, code)
        from pytest_xdevice.runtime.session import serve
    except BaseException:
        shutil.rmtree(code, ignore_errors=True)
        raise
    serve(channel, code, getattr(sys.modules["__main__"], "xdevice_passed", None), beats)
"""


class Refusal(DeviceLost):
    """The session answered that it could not do what was asked; the connection to it is well."""


class Control:
    """The control connection to a session on a device.

    Parameters
    ----------
    group : execnet.Group
        Holds the one gateway, and ends it.
    gateway : execnet.Gateway
    io : object
        What carries the gateway's messages; ``kill()`` ends it at once.
    beats : bool
        Whether the device is to hear, over a pipe, that its host is still there.

    Attributes
    ----------
    info : dict
        The device's facts, as `runtime.info.device_info` gives them.
    """

    info: dict[str, Any]

    def __init__(self, group: execnet.Group, gateway: execnet.Gateway, io: Any, *, beats: bool = False) -> None:
        self._group = group
        self._gateway = gateway
        self._io = io
        self._lost: DeviceLost | None = None
        self._channel: Any = gateway.remote_exec(inspect.getsource(scratch) + _LAUNCH)
        pulse = gateway.newchannel() if beats else None
        self._channel.send((runtime_archive(), pulse))
        if beats:
            io.begin_beats(pulse)

    @property
    def lost(self) -> DeviceLost | None:
        """Why the session is out of reach, also where only the end of its stream has said so yet; else None."""
        if self._lost is None and (self._channel.isclosed() or not self._gateway.hasreceiver()):
            self._lost = self._last_word() or DeviceLost("the connection to the session ended")
        return self._lost

    def request(self, name: str, *arguments: object, timeout: float = ANSWER_SECONDS) -> Any:
        """Ask the session and return its answer.

        Raises
        ------
        DeviceLost
            If the session is gone, fails, or does not answer within `timeout` seconds.
        """
        self.post(name, *arguments, timeout=timeout)
        return self.answer(name, timeout)

    def post(self, name: str, *arguments: object, timeout: float = ANSWER_SECONDS) -> None:
        """Ask the session; `answer` must be called once for it, before anything else is asked.

        Raises
        ------
        DeviceLost
            If the session is gone, or the connection takes nothing for `timeout` seconds.
        """
        if self._lost is not None:
            raise DeviceLost(*self._lost.args)
        with _killed_after(timeout, self._io), self._losing():
            self._channel.send((name, arguments))

    def answer(self, name: str, timeout: float = ANSWER_SECONDS) -> Any:
        """Return the session's answer to what was posted as `name`.

        Raises
        ------
        DeviceLost
            If the session is gone, fails, or does not answer within `timeout` seconds.
        """
        try:
            with self._losing():
                status, answer = self._channel.receive(timeout)
        except self._channel.TimeoutError:
            self._lost = DeviceLost(
                f"the session did not answer within {timeout:.3g} s (to {name!r}): the device or its link is down "
                "or stands still"
            )
            raise self._lost from None
        if status == "over":
            self._lost = DeviceLost(f"the session is over: {answer}")
            raise self._lost
        if status != "ok":
            raise Refusal(f"the session could not {name}: {answer}")
        return answer

    def relay(self) -> tuple[socket.socket, Any]:
        """Return a socket whose other end is carried over a new channel of this connection, and the channel.

        Raises
        ------
        DeviceLost
            If the session is gone.
        """
        with self._losing():
            channel = self._gateway.newchannel()
        ours, theirs = socket.socketpair()
        Relay(theirs, channel)
        return ours, channel

    def close(self) -> None:
        """End the session process; it removes everything that it made on the device."""
        if self.lost is not None:
            self._io.kill()  # to a peer that is silent nothing can be said
        with _killed_after(CLOSE_SECONDS, self._io):
            self._io.end_beats()
            with contextlib.suppress(OSError):  # the connection may be broken, and execnet not know it yet
                self._channel.close()
            self._group.terminate(timeout=CLOSE_SECONDS)

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        """Turn the errors of a broken connection into `DeviceLost`, and remember it."""
        try:
            yield
        except gateway_base.RemoteError as error:
            self._lost = DeviceLost(f"the session on the device failed:\n{error}")
        except gateway_base.TimeoutError:
            raise
        except (EOFError, OSError) as error:
            self._lost = self._lost or self._end(error)
        if self._lost is not None:
            raise self._lost from None

    def _end(self, error: EOFError | OSError) -> DeviceLost:
        """Return why the session is out of reach: what it said before it ended, else how its connection broke."""
        return self._last_word() or DeviceLost(f"the connection to the session broke: {_broken(error)}")

    def _last_word(self) -> DeviceLost | None:
        """Return what the session said before it ended, if it did."""
        with contextlib.suppress(EOFError, OSError, gateway_base.RemoteError, gateway_base.TimeoutError):
            while True:
                status, answer = self._channel.receive(_LAST_WORD_SECONDS)  # it may be on its way still
                if status == "over":
                    return DeviceLost(f"the session is over: {answer}")
        return None


def _broken(error: EOFError | OSError) -> str:
    """Say how a connection broke; execnet and its streams word an end in several ways."""
    text = str(error)
    is_end = any(words in text for words in ("got 0", "0 bytes came of", "already closed"))
    return "it was closed at the other end" if is_end or not text else text.replace(_HEADER_WORDS, "")


@contextlib.contextmanager
def _killed_after(seconds: float, io: Any) -> Iterator[None]:
    """End a connection that the block stands still on: to write to a peer that reads nothing has no time-out."""
    alarm = threading.Timer(seconds, io.kill)
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()
