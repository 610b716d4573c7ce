"""The way to a device through jump hosts: one ssh for each hop, carried by the one before, and what each had to say.

ssh's own ``-J`` does the same, but gives the hops none of our options, and their messages no name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..errors import DeviceUnreachable
from ..errors import JumpHostError
from .ssh_command import alive_options
from .ssh_command import common_options
from .ssh_words import Words

# No failures: a host key that was new, an old key exchange, what a configuration asks for, and that an ssh was ended.
_REMARKS: Final = re.compile(r"Warning: |\*\* |debug\d: |Authenticated |Killed by signal ")
_OPEN_FAILED: Final = re.compile(r"open failed: (?P<code>[a-z ]+): (?P<why>[^;]*)")
_SILENCE: Final = "timed out"
_FORBIDDEN: Final = "administratively prohibited"


class Jump:
    """The jump hosts before a device.

    Parameters
    ----------
    hops : sequence of str
        ``user@host[:port]`` each, in order from here.
    configuration : sequence of str
        ssh's option that names a configuration file, if any; it holds for all hops.
    folder : Path
        Where each hop's ssh writes what it says. It may be removed before that is read.
    device : str
        What the last hop connects to, for messages.
    """

    def __init__(self, hops: Sequence[str], configuration: Sequence[str], folder: Path, device: str) -> None:
        self._hops = tuple(hops)
        self._configuration = tuple(configuration)
        self._device = device
        self._words = [Words(folder / f"hop{index}") for index in range(len(hops))]

    def close(self) -> None:
        """Let go of what the hops said."""
        for words in self._words:
            words.close()

    def arguments(self) -> list[str]:
        """Return the options by which an ssh goes through the hops; none without hops."""
        return self._proxy(len(self._hops))

    def last_hop(self) -> list[str]:
        """Return the options and the destination of an ssh to the last hop itself."""
        before = len(self._hops) - 1
        return [*self._leading(before), _destination(self._hops[before])]

    def by_hand(self) -> list[str]:
        """Return the options by which a user would go the same way."""
        return _through(self._hops)

    @contextmanager
    def named(self, label: str) -> Iterator[None]:
        """Have a block that cannot reach the device, which `label` names, say at which hop it failed."""
        try:
            yield
        except DeviceUnreachable as error:
            raise self.error(label, is_silent=_SILENCE in str(error)) or error from None

    def error(self, label: str, at_last: str = "", *, is_silent: bool = False) -> JumpHostError | None:
        """Return what went wrong at the first hop that had something to say, or None.

        Parameters
        ----------
        label : str
            Names the device.
        at_last : str
            What was said at the last hop, where that was reached as `last_hop`.
        is_silent : bool
            Whether the device was waited for in vain; a hop that was would have said so before.
        """
        last = len(self._hops) - 1
        for index, words in enumerate(self._words):
            said = _failures(words.text() or (at_last if index == last else ""))
            if said:
                return self._blame(label, index, said)
        return self._blame(label, last, "") if is_silent and self._hops else None

    def _blame(self, label: str, index: int, said: str) -> JumpHostError:
        hop, beyond = self._hops[index], (*self._hops[index + 1 :], self._device)[0]
        failure = _OPEN_FAILED.search(said)
        login = shlex.join(["ssh", *self._configuration, *_through(self._hops[:index]), _destination(hop)])
        if failure and failure["code"] == _FORBIDDEN:
            problem = f"forbids to go on to {beyond}"
            mend = "allow it in its sshd_config: AllowTcpForwarding, DisableForwarding and PermitOpen decide"
        elif failure:
            why = failure["why"].replace("open failed", "there is no way to it")
            problem = f"cannot reach {beyond}: {why}"
            mend = f"see that {beyond} is on, and that this is its name and port as seen from there: {login}"
        elif "Host key verification failed" in said:
            problem = f"has an unknown key: {said}"
            mend = f"see that the key is its own, and accept it, once and by hand: {login}"
        elif "Permission denied" in said or "Too many authentication failures" in said:
            problem = f"lets nobody in: {said}"
            mend = f"give it your key (ssh-copy-id), or name another in your ssh configuration; try by hand: {login}"
        elif not said:
            problem = f"is there, but {beyond} does not answer through it"
            mend = f"see that {beyond} is on, and what is between the two: {login}"
        else:
            problem = f"cannot be reached: {said}"
            mend = f"see that it is on, and its name and port are right; try by hand: {login}"
        return JumpHostError(f"{label}: the jump host {hop} {problem}. To mend it, {mend}", hop=hop)

    def _leading(self, hops: int) -> list[str]:
        """Return the options of an ssh that goes through the first so many hops."""
        return [*self._configuration, *alive_options(hops), *common_options(hops), *self._proxy(hops)]

    def _proxy(self, hops: int) -> list[str]:
        """Return the option by which an ssh goes through the first so many hops; none for none."""
        if not hops:
            return []
        before = hops - 1
        words = [
            "ssh", *self._leading(before),
            "-o", "LogLevel=INFO",  # says why there is no connection onwards
            "-o", "ControlMaster=no",  # a user's would outlive the run; one that is there already may carry it
            "-E", str(self._words[before].path),
        ]  # fmt: skip
        # The ssh that runs the command fills in %h and %p, its own host and port.
        carry = f"-W '[%h]:%p' {shlex.quote(_destination(self._hops[before]))}"
        return ["-o", f"ProxyCommand={shlex.join(words).replace('%', '%%')} {carry}"]


def _failures(said: str) -> str:
    """Return what of ssh's words is about a failure, on one line."""
    lines = (line.strip() for line in said.splitlines())
    return "; ".join(line.rstrip(".") for line in lines if line and not _REMARKS.match(line))


def _destination(hop: str) -> str:
    return f"ssh://{hop}"


def _through(hops: Sequence[str]) -> list[str]:
    return ["-J", ",".join(hops)] if hops else []
