"""The stream between host and worker: frames of a small JSON head and raw buffers, never copied, never pickled.

A frame is, in network byte order::

    magic "XDW1" | u32 length of the head | u32 number of buffers | u64 length of each buffer ... | head | buffers

The host sends a *batch*, ``{"do": [[operation, arguments], ...]}``; the worker carries it out in order and
answers with one frame, ``{"ok": [result, ...]}`` or ``{"error": {...}}``. So a whole test is one round trip.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from typing import Any
from typing import Callable
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple
from typing import Union

MAGIC = b"XDW1"
_HEADER = struct.Struct("!4sII")
MAX_HEAD = 16 << 20
MAX_BUFFERS = 1 << 16
MAX_BUFFER = 1 << 44
STREAM_CLOSED = 76  # the exit status of a worker whose stream closed, which is how it is told to leave
_IDLE_SECONDS = 1.0
_READ_AHEAD = 64 << 10
_TRUSTED = 16 << 20  # bytes that are made room for before any has come
_IOV_MAX = 512  # the kernel takes 1024
_BRIEF = 0.0002  # seconds; a wait that is likely to be shorter is spent awake
_SEND_STEP = 1.0  # seconds; a send that timed out tells how much went, not when
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()

Buffer = Union[bytes, bytearray, memoryview]


class WireError(Exception):
    """The other end sent something that is not a frame of this protocol."""


class StreamClosed(Exception):
    """The other end closed the stream, or it broke."""


def encode(head: Dict[str, Any]) -> bytes:
    """Return the head of a frame as it travels."""
    return _ENCODER.encode(head).encode()


def decode(text: bytes) -> Dict[str, Any]:
    """Return the head of a frame that came.

    Raises
    ------
    WireError
        If it is no JSON object.
    """
    try:
        head = _DECODER.decode(text.decode())
    except (ValueError, RecursionError) as error:
        raise WireError(f"the head of a frame is not JSON: {error}") from None
    if not isinstance(head, dict):
        raise WireError("the head of a frame is no JSON object")
    return head


class Connection:
    """Frames over one connected stream socket.

    A buffer that arrives is read straight into the memory it is meant for: `receive` returns the head and the
    buffers' lengths, then `read_into` or `read` must be called once for each buffer, in order.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ahead = memoryview(bytearray(_READ_AHEAD))
        self._start = 0
        self._end = 0
        self._seconds = 0.0
        self._arrivals = select.poll()
        self._arrivals.register(sock, select.POLLIN)
        self._brief = False  # whether the last wait was
        sock.settimeout(None)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._sock.fileno()

    def is_silent(self) -> bool:
        """Return whether nothing has come, not even the end of the stream, since the last frame was received."""
        return not self._arrivals.poll(0)

    def close(self) -> None:
        """Close the socket; a peer that waits sees the end of the stream."""
        self._sock.close()

    def settimeout(self, seconds: float) -> None:
        """Bound how long one receive or send may stand still, in seconds; then it raises `TimeoutError`.

        The kernel keeps the time: a socket in Python's own timeout mode polls before every call.
        """
        if seconds != self._seconds:
            self._seconds = seconds
            step = min(seconds, _SEND_STEP)
            for option, limit in ((socket.SO_RCVTIMEO, seconds), (socket.SO_SNDTIMEO, step)):
                value = struct.pack("@ll", int(limit), int(limit % 1 * 1e6))
                self._sock.setsockopt(socket.SOL_SOCKET, option, value)

    def send(self, head: Dict[str, Any], buffers: Sequence[Buffer] = ()) -> None:
        """Send one frame; the buffers, of bytes, are handed to the operating system as they are.

        Raises
        ------
        StreamClosed
            If the other end is gone.
        """
        self.send_head(encode(head), buffers)

    def send_head(
        self, text: bytes, buffers: Sequence[Buffer] = (), moved: Optional[Callable[[int], None]] = None
    ) -> None:
        """Send one frame whose head was encoded before, as `send` does.

        Where that takes more than a second, `moved` is told about once a second how many bytes have gone.
        """
        views = [memoryview(buffer) for buffer in buffers]
        lengths = struct.pack(f"!{len(views)}Q", *(view.nbytes for view in views)) if views else b""
        prefix = _HEADER.pack(MAGIC, len(text), len(views)) + lengths + text
        self._send_all([memoryview(prefix), *views], moved)

    def receive(self, poll: bool = True, idle: Optional[Callable[[], None]] = None) -> Tuple[Dict[str, Any], List[int]]:
        """Receive the next frame's head and the lengths of its buffers, in bytes.

        Parameters
        ----------
        poll : bool
            Whether a wait that is likely to be brief may be spent awake. Not while the other end takes timings: it
            may be on this machine.
        idle : callable, optional
            Called once a second as long as nothing comes.

        Raises
        ------
        StreamClosed
            If the other end is gone.
        WireError
            If what comes is no frame, or breaks a bound.
        """
        text, lengths = self.receive_head(poll, idle)
        return decode(text), lengths

    def receive_head(self, poll: bool = True, idle: Optional[Callable[[], None]] = None) -> Tuple[bytes, List[int]]:
        """Receive the next frame as `receive` does, its head still encoded."""
        if self._start == self._end:
            self._await(poll, idle)
        magic, head_length, count = _HEADER.unpack(self.read(_HEADER.size))
        if magic != MAGIC or head_length > MAX_HEAD or count > MAX_BUFFERS:
            raise WireError(f"not a frame of this protocol: {magic!r}...")
        lengths = list(struct.unpack(f"!{count}Q", self.read(8 * count))) if count else []
        if lengths and max(lengths) > MAX_BUFFER:
            raise WireError(f"a buffer of {max(lengths)} bytes is announced")
        return bytes(self.read(head_length)), lengths

    def read(self, length: int) -> Union[bytes, bytearray]:
        """Read exactly `length` bytes.

        Raises
        ------
        MemoryError
            If there is no room for them; they were read and forgotten.
        """
        end = self._start + length
        if end <= self._end:
            start, self._start = self._start, end
            return bytes(self._ahead[start:end])
        data, done = bytearray(min(length, _TRUSTED)), 0
        try:
            while True:
                with memoryview(data) as whole, whole[done:] as view:
                    self.read_into(view)
                done = len(data)
                if done == length:
                    return data
                # What is announced need never come: no more is taken than came already.
                data.extend(bytes(min(length - done, done)))
        except MemoryError:
            del data
            self.discard(length - done)
            raise

    def read_into(self, view: memoryview) -> None:
        """Fill `view`, a writable view of bytes, from the stream."""
        wanted = view.nbytes
        done = min(wanted, self._end - self._start)
        view[:done] = self._ahead[self._start : self._start + done]
        self._start += done
        while done < wanted:
            if wanted - done >= _READ_AHEAD:
                done += self._receive_into(view[done:])
                continue
            self._fill()
            taken = min(wanted - done, self._end)
            view[done : done + taken] = self._ahead[:taken]
            self._start = taken
            done += taken

    def discard(self, length: int) -> None:
        """Read and forget `length` bytes."""
        scratch = memoryview(bytearray(min(length, 1 << 20)))
        while length:
            step = min(length, scratch.nbytes)
            self.read_into(scratch[:step])
            length -= step

    def _await(self, poll: bool, idle: Optional[Callable[[], None]]) -> None:
        """Wait for the first bytes of a frame.

        To be woken takes tens of microseconds, on a virtual machine most of a short launch. So where the last wait was
        brief, the next one begins awake, leaving the processor to whoever else wants it, the other end not least. An
        idle end sleeps.
        """
        began = time.perf_counter()
        awake = poll and self._brief
        while awake and time.perf_counter() - began < _BRIEF and not self._arrivals.poll(0):
            os.sched_yield()
        while idle is not None and not self._arrivals.poll(1000 * _IDLE_SECONDS):
            if time.perf_counter() - began > self._seconds:
                raise TimeoutError("the stream stood still")
            idle()
        self._fill()
        self._brief = time.perf_counter() - began < _BRIEF

    def _fill(self) -> None:
        """Read ahead once; what was read ahead before is used up."""
        self._start, self._end = 0, self._receive_into(self._ahead)

    def _receive_into(self, view: memoryview) -> int:
        try:
            received = self._sock.recv_into(view)
        except BlockingIOError:
            raise TimeoutError("the stream stood still") from None
        except OSError as error:
            raise StreamClosed(str(error)) from None
        if not received:
            raise StreamClosed("the other end closed the stream")
        return received

    def _send_all(self, views: List[memoryview], moved: Optional[Callable[[int], None]] = None) -> None:
        at, stood, total = 0, 0.0, 0
        while at < len(views):
            try:
                sent = self._sock.sendmsg(views[at : at + _IOV_MAX])
            except BlockingIOError:
                stood += _SEND_STEP
                if stood >= self._seconds:
                    raise TimeoutError("the stream stood still") from None
                continue
            except OSError as error:
                raise StreamClosed(str(error)) from None
            stood = 0.0
            total += sent
            while at < len(views) and sent >= views[at].nbytes:
                sent -= views[at].nbytes
                at += 1
            if sent:
                views[at] = views[at][sent:]
                if moved is not None:
                    moved(total)
