"""The line of sessions for a device that has no server: the first holds it, the others wait in order.

Each has a file in a folder of this user's, which it keeps locked: the kernel lets go of the lock when the process dies,
however it does. All that the line needs is in the file's name, since a full disk takes a name but no contents: a number
that grows, the process, and the identity of the host's session. The folder is locked for as long as somebody looks or
changes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import stat
import time
from contextlib import contextmanager
from contextlib import suppress
from typing import Any
from typing import Dict
from typing import Iterator
from typing import List
from typing import NamedTuple
from typing import Optional

from .leftovers import sweep
from .scratch import shared_folder

_NAME = re.compile("([0-9]+)-([0-9]+)-([0-9A-Za-z]+)")
_END_SECONDS = 2.0  # that a session which was told to end may take


class Place(NamedTuple):
    """A place in the line: the ``name`` of its file, what that says, and the ``holder`` and since when it holds."""

    name: str
    number: int
    pid: int
    identity: str
    holder: str
    since: float


class Line:
    """This process's place in the line, if it has one."""

    def __init__(self) -> None:
        self._folder = ""
        self._name = ""
        self._lock: Optional[int] = None
        self._since = 0.0

    def lease(self, holder: str, identity: str) -> Dict[str, Any]:
        """Get in line, unless this process is there already, and return how far it has come.

        Parameters
        ----------
        holder : str
            What others are told.
        identity : str
            Of the host's session, letters and digits. What is left in line of an earlier connection of it is ended.

        Returns
        -------
        dict
            ``state`` is "granted"; or "waiting", and then there are ``holder``, ``held`` (seconds) and ``ahead``.
        """
        if not identity.isalnum():
            raise ValueError(f"{identity!r:.80} is no identity")
        with self._opened() as folder:
            places = _living(folder)
            if self._lock is None:
                for earlier in places:
                    if earlier.identity == identity:
                        _end(earlier.pid)
                places = _living(folder)
                places.append(self._enter(folder, places, holder[:200], identity))
            ahead = [place.name for place in places].index(self._name)
            if ahead:
                return dict(_state(places), state="waiting", ahead=ahead)
            if not self._since:
                self._since = time.time()
                self._write(places[0].holder, self._since)
            return {"state": "granted"}

    def who(self) -> Dict[str, Any]:
        """Return the ``holder``, None where nobody has the device, since how many seconds, and who is ``waiting``."""
        with self._opened() as folder:
            return _state(_living(folder))

    def release(self) -> Optional[str]:
        """End the session that holds the device; return whose it was."""
        with self._opened() as folder:
            places = _living(folder)
            if not places:
                return None
            _end(places[0].pid)
        sweep()  # what a session leaves that had to be killed
        return places[0].holder

    def leave(self) -> None:
        """Get out of line."""
        if self._lock is None:
            return
        with self._opened() as folder:
            os.unlink(self._name, dir_fd=folder)
            os.close(self._lock)
            self._lock = None

    def _enter(self, folder: int, places: List[Place], holder: str, identity: str) -> Place:
        number = places[-1].number + 1 if places else 1
        self._name = f"{number:012d}-{os.getpid()}-{identity}"
        self._lock = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        now = time.time()
        self._write(holder, now)
        return Place(self._name, number, os.getpid(), identity, holder, now)

    def _write(self, holder: str, since: float) -> None:
        """Write what others are told; on a full disk they are told less."""
        assert self._lock is not None
        text = json.dumps({"holder": holder, "since": since}).encode()
        with suppress(OSError):
            os.pwrite(self._lock, text, 0)
            os.ftruncate(self._lock, len(text))

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Have the folder, made where it is missing, to this process alone; an empty one is removed."""
        folder = self._open()
        try:
            yield folder
        finally:
            with suppress(OSError):  # not empty, as a rule
                os.rmdir(self._folder)
            os.close(folder)

    def _open(self) -> int:
        while True:
            self._folder = shared_folder(f"xdevice-lease-{os.getuid()}")
            try:
                folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # removed meanwhile
            fcntl.flock(folder, fcntl.LOCK_EX)
            status = os.fstat(folder)
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
                os.close(folder)
                raise PermissionError(f"{self._folder} is not this user's alone: remove it, or chmod 700 it")
            if status.st_nlink:
                return folder
            os.close(folder)  # removed while this process waited for the lock


def _living(folder: int) -> List[Place]:
    """Return the places of sessions that live, in order, and remove those of others."""
    places = []
    for name in sorted(os.listdir(folder)):
        descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            places.append(_read(name, descriptor))
        else:
            os.unlink(name, dir_fd=folder)
        finally:
            os.close(descriptor)
    return places


def _read(name: str, descriptor: int) -> Place:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} in line for the device is of another version of pytest-xdevice: wait for its end")
    number, pid, identity = found.groups()
    text = os.pread(descriptor, 4096, 0).decode()
    # On a full disk there is no more than the file itself.
    said: Dict[str, Any] = (
        json.loads(text) if text else {"holder": f"process {pid}", "since": os.fstat(descriptor).st_mtime}
    )
    return Place(name, int(number), int(pid), identity, said["holder"], said["since"])


def _state(places: List[Place]) -> Dict[str, Any]:
    if not places:
        return {"holder": None, "held": 0.0, "waiting": []}
    first, *others = places
    held = max(0.0, time.time() - first.since)
    return {"holder": first.holder, "held": held, "waiting": [place.holder for place in others]}


def _end(pid: int) -> None:
    """End a session of this user: it cleans up, unless it is stuck."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + _END_SECONDS
        while time.monotonic() < until:
            try:
                os.kill(pid, number if number is signal.SIGKILL else 0)
            except ProcessLookupError:
                return
            time.sleep(0.01)
