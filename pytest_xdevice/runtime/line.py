"""The line of sessions for a device that has no server: the first holds it, the others wait in order.

Each has a file in a folder of this user's, named by a number that grows, which it keeps locked: the kernel lets go of
the lock when the process dies, however it does. The folder is locked for as long as somebody looks or changes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import tempfile
import time
from contextlib import contextmanager
from contextlib import suppress
from typing import Any
from typing import Dict
from typing import Iterator
from typing import List
from typing import Optional
from typing import Tuple

from .leftovers import sweep

_END_SECONDS = 2.0  # that a session which was told to end may take

Place = Tuple[str, Dict[str, Any]]  # a file's name, and what its session wrote into it


class Line:
    """This process's place in the line, if it has one."""

    def __init__(self) -> None:
        self._folder = os.path.join(tempfile.gettempdir(), f"xdevice-lease-{os.getuid()}")
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
            Of the host's session. What is left in line of an earlier connection of it is ended.

        Returns
        -------
        dict
            ``state`` is "granted"; or "waiting", and then there are ``holder``, ``held`` (seconds) and ``ahead``.
        """
        with self._opened() as folder:
            places = _living(folder)
            if self._lock is None:
                for _, earlier in places:
                    if earlier["identity"] == identity:
                        _end(earlier["pid"])
                places = _living(folder)
                places.append(self._enter(folder, places, holder[:200], identity))
            ahead = [name for name, _ in places].index(self._name)
            if ahead:
                return dict(_state(places), state="waiting", ahead=ahead)
            if not self._since:
                self._since = time.time()
                self._write(dict(places[0][1], since=self._since))
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
            _end(places[0][1]["pid"])
        sweep(os.path.dirname(self._folder))  # what a session leaves that had to be killed
        return str(places[0][1]["holder"])

    def leave(self) -> None:
        """Get out of line."""
        if self._lock is None:
            return
        with self._opened() as folder:
            os.unlink(self._name, dir_fd=folder)
            os.close(self._lock)
            self._lock = None

    def _enter(self, folder: int, places: List[Place], holder: str, identity: str) -> Place:
        self._name = f"{int(places[-1][0]) + 1 if places else 1:012d}"
        self._lock = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        said = {"holder": holder, "identity": identity, "pid": os.getpid(), "since": time.time()}
        self._write(said)
        return self._name, said

    def _write(self, said: Dict[str, Any]) -> None:
        assert self._lock is not None
        text = json.dumps(said).encode()
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
            with suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)
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
            places.append((name, json.loads(os.pread(descriptor, 4096, 0).decode())))
        else:
            os.unlink(name, dir_fd=folder)
        finally:
            os.close(descriptor)
    return places


def _state(places: List[Place]) -> Dict[str, Any]:
    if not places:
        return {"holder": None, "held": 0.0, "waiting": []}
    (_, first), *others = places
    held = max(0.0, time.time() - first["since"])
    return {"holder": first["holder"], "held": held, "waiting": [said["holder"] for _, said in others]}


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
