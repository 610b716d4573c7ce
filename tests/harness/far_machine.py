"""A machine at the other end of a cable: namespaces on this one, with an address of their own, and faults on demand.

Its programs are this machine's, so that it costs next to nothing. It takes an address among the emulated boards'.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.boards import network
from tests.boards.command import output
from tests.boards.layout import Layout
from tests.boards.processes import end
from tests.boards.processes import in_namespace_of
from tests.harness.service import Service

NEEDED = {
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
# By SIGKILL, since unshare waits for its child with other signals blocked.
BOUND = ["setpriv", "--pdeathsig", "KILL", "--"]
UNSHARE = ["unshare", "--net", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child"]
HALF = "numgen random mod 100 < 50"  # of all packets
# The first process: it reaps what others leave.
INIT = """
import os, signal
print("up", flush=True)
while True:
    signal.sigwait({signal.SIGCHLD})
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        continue
"""


@dataclass(frozen=True)
class FarMachine:
    """A machine that runs.

    Attributes
    ----------
    address : str
        Its IPv4 address.
    service : Service
        What holds its namespaces.
    """

    address: str
    service: Service

    @property
    def enter(self) -> list[str]:
        """What, put before a command, starts it there; the command ends when this process is told to."""
        spaces = ["--net", "--pid", "--mount"]
        return ["nsenter", "--target", str(self._init), *spaces, "--", "setpriv", "--pdeathsig", "TERM", "--"]

    def processes(self) -> list[int]:
        """Return the processes there, as this machine numbers them, without its first one."""
        return in_namespace_of(self._init)

    def cut_the_link(self) -> None:
        """Take this end of the cable down."""
        output("ip", "link", "set", network.interface(self.address), "down")

    def mend_the_link(self) -> None:
        """Take it up again."""
        output("ip", "link", "set", network.interface(self.address), "up")

    def lose(self, percent: int) -> None:
        """Lose packets at random, each way."""
        self._drop_where("" if percent == 100 else f"numgen random mod 100 < {percent}")

    def lose_every(self, number: int) -> None:
        """Lose one packet in so many, each way, which is hardly ever the same one again."""
        self._drop_where(f"numgen inc mod {number} 0")

    def _drop_where(self, condition: str) -> None:
        output(*self._inside, "nft", _rules(condition))

    def lose_nothing(self) -> None:
        """Undo `lose` and `lose_every`."""
        output(*self._inside, "nft", "delete table inet faults")

    def freeze(self) -> None:
        """Stop every process; the kernel goes on, and acknowledges what comes."""
        _tell(self.processes(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        # What entered the machine for a process there has stopped together with that.
        _tell(in_namespace_of(self._init, "pid_for_children"), signal.SIGCONT)

    def cut_the_power(self) -> None:
        """End its network, then every process, without a word to anybody."""
        self.cut_the_link()
        end(self._init)

    @property
    def _init(self) -> int:
        holder = self.service.process.pid
        return int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0])

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", "--target", str(self._init), "--net", "--"]


def _rules(condition: str) -> str:
    """Return what drops packets, as they come and as they go, where a condition holds."""
    hook = "type filter hook {} priority 0"
    chains = "\n".join(f"chain {way} {{ {hook.format(way)}; {condition} drop; }}" for way in ("input", "output"))
    return f"table inet faults {{\n{chains}\n}}"


def _tell(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def obstacle() -> str | None:
    """Return why this machine cannot have such a machine, or None."""
    if os.geteuid() != 0:
        return "machines in namespaces need root"
    missing = [f"{name} (package {package})" for name, package in NEEDED.items() if not shutil.which(name)]
    if missing:
        return f"machines in namespaces need commands that are not here: {', '.join(missing)}"
    trial = subprocess.run([*UNSHARE, "nft", _rules(HALF)], capture_output=True, text=True)
    return (
        f"this kernel or container refuses namespaces or lossy links: {trial.stderr.strip()}"
        if trial.returncode
        else None
    )


@contextlib.contextmanager
def far_machine() -> Iterator[FarMachine]:
    """Have a machine for as long as the block runs; nothing is left of it afterwards."""
    layout = Layout.default()
    with Service([*BOUND, *UNSHARE, sys.executable, "-c", INIT]) as service:
        service.await_line("up")
        with layout.locked():
            address = network.free_address(network.addresses_in_use())
            network.ensure_bridge(address)
            network.connect(service.process.pid, address)
        try:
            yield FarMachine(address, service)
        finally:
            with layout.locked():
                if service.process.poll() is None:  # otherwise its network is gone, and another may have its address
                    network.disconnect(address)
                service.stop(signal.SIGKILL)
                if not network.addresses_in_use():
                    network.remove_bridge()
