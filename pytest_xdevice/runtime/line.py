"""The line of sessions for a device that has no server: the first holds it, the others wait in order.

Each has a file in a folder of this user's, which it keeps locked: the kernel lets go of the lock when the process dies,
however it does. All that the line needs is in the file's name, since a full disk takes a name but no contents: a number
that grows, the process, and the identity of the host's session. The folder is locked for as long as somebody looks or
changes it.

A disk may be too full even for a name. Then the line is in memory, in /dev/shm, until nobody is left there: whoever has
got into one line looks whether there is somebody in the other, and if so goes there instead.
"""

from __future__ import annotations

import errno
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
from typing import Tuple

from .leftovers import sweep
from .scratch import shared_parent

_NAME = re.compile("([0-9]+)-([0-9]+)-([0-9A-Za-z]+)")
_END_SECONDS = 2.0  # that a session which was told to end may take
_IN_MEMORY = "/dev/shm"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_TRIES = 10  # to find a line that stays, while others come and go


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

        Raises
        ------
        OSError
            If there is no room for a line; the message says what to do.
        """
        if not identity.isalnum():
            raise ValueError(f"{identity!r:.80} is no identity")
        if self._lock is None:
            self._join(holder[:200], identity)
        with _opened(self._folder) as folder:
            places = _living(folder)
            ahead = [place.name for place in places].index(self._name)
            if ahead:
                return dict(_state(places), state="waiting", ahead=ahead)
            if not self._since:
                self._since = time.time()
                self._write(places[0].holder, self._since)
            return {"state": "granted"}

    def who(self) -> Dict[str, Any]:
        """Return the ``holder``, None where nobody has the device, since how many seconds, and who is ``waiting``."""
        return _state(_line_of(_folders())[1])

    def release(self) -> Optional[str]:
        """End the session that holds the device; return whose it was."""
        path, places = _line_of(_folders())
        if not places:
            return None
        with _opened(path) as folder:
            places = _living(folder)
            if not places:
                return None
            _end(folder, places[0])
        sweep()  # what a session leaves that had to be killed
        return places[0].holder

    def leave(self) -> None:
        """Get out of line, without a wait for others: one of them may be waiting for this process to end."""
        if self._lock is None:
            return
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self._folder, self._name))
        os.close(self._lock)
        self._lock = None
        with suppress(OSError), _opened(self._folder, wait=False):
            pass  # it is removed if it is empty; if somebody is there, by them

    def _join(self, holder: str, identity: str) -> None:
        """Get into the line that there is, or make one."""
        first, spare = _folders()
        for path, other in ((first, spare), (spare, first)) * _TRIES:
            try:
                with _opened(path, make=True) as folder:
                    for earlier in _living(folder):
                        if earlier.identity == identity:
                            _end(folder, earlier)
                    self._enter(folder, _living(folder), holder, identity)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                continue
            self._folder = path
            if not _living_in(other):
                return
            self.leave()
        parents = " and ".join(dict.fromkeys(map(os.path.dirname, (first, spare))))
        raise OSError(
            f"{parents} on the device have no room for another file, by which sessions take turns: free some there, or "
            "name another folder in TMPDIR, the same for all sessions"
        )

    def _enter(self, folder: int, places: List[Place], holder: str, identity: str) -> None:
        number = places[-1].number + 1 if places else 1
        self._name = f"{number:012d}-{os.getpid()}-{identity}"
        self._lock = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._write(holder, time.time())

    def _write(self, holder: str, since: float) -> None:
        """Write what others are told; on a full disk they are told less."""
        assert self._lock is not None
        text = json.dumps({"holder": holder, "since": since}).encode()
        with suppress(OSError):
            os.pwrite(self._lock, text, 0)
            os.ftruncate(self._lock, len(text))


def _folders() -> Tuple[str, str]:
    """Return where the line is, and where it is when there is no room for it; the name of that one says for which."""
    name = f"xdevice-lease-{os.getuid()}"
    parent = shared_parent(name)
    status = os.stat(parent)
    return os.path.join(parent, name), os.path.join(_IN_MEMORY, f"{name}-{status.st_dev:x}-{status.st_ino:x}")


def _line_of(folders: Tuple[str, str]) -> Tuple[str, List[Place]]:
    """Return which of the folders has a line, and that; the first one, where there is none."""
    for path in folders:
        places = _living_in(path)
        if places:
            return path, places
    return folders[0], []


def _living_in(path: str) -> List[Place]:
    try:
        with _opened(path) as folder:
            return _living(folder)
    except FileNotFoundError:
        return []


@contextmanager
def _opened(path: str, *, make: bool = False, wait: bool = True) -> Iterator[int]:
    """Have a folder, made where it is missing, to this process alone; an empty one is removed."""
    folder = _open(path, make, wait)
    try:
        yield folder
    finally:
        with suppress(OSError):  # not empty, as a rule
            os.rmdir(path)
        os.close(folder)


def _open(path: str, make: bool, wait: bool) -> int:
    while True:
        if make:
            with suppress(FileExistsError):
                os.mkdir(path, 0o700)
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            if make:
                continue  # removed meanwhile
            raise
        try:
            fcntl.flock(folder, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(folder)
            raise
        status = os.fstat(folder)
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
            os.close(folder)
            raise PermissionError(f"{path} is not this user's alone: remove it, or chmod 700 it")
        if status.st_nlink:
            return folder
        os.close(folder)  # removed while this process waited for the lock


def _living(folder: int) -> List[Place]:
    """Return the places of sessions that live, in order, and remove those of others."""
    places = []
    for name in sorted(os.listdir(folder)):
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            continue  # whose it was has just left
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            places.append(_read(name, descriptor))
        else:
            with suppress(FileNotFoundError):
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


def _end(folder: int, place: Place) -> None:
    """End a session of this user: it cleans up, unless it is stuck."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(place.pid, number)
        until = time.monotonic() + _END_SECONDS
        while time.monotonic() < until:
            if place.name not in [living.name for living in _living(folder)]:
                return
            time.sleep(0.01)
