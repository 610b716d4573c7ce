"""A board's first process: builds its file system, starts its ssh server, and holds its namespaces.

Started by `tests.boards.board` under ``unshare`` with a `Plan` as its argument. It prints its process id as this
machine numbers it, waits for the word ``go`` (the network is there), and from then on reaps orphans. Everything of the
board ends with it. Where the plan says so, it ends when its standard input does, and so with whoever started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path

from tests.boards.command import output

SSH_PORT = 22
DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
SEARCH_PATH = "/usr/local/bin:/usr/bin:/usr/sbin:/bin"


@dataclass(frozen=True)
class Plan:
    """What a board is to be.

    Attributes
    ----------
    name : str
        Its host name.
    tree : str
        The Debian tree that it shares, read-only, with others of its kind.
    state : str
        The directory of its own on this machine; its writes lie in a tmpfs mounted there.
    authorized_key : str
        The public key that may log in as root.
    cpu : str
        The processor that QEMU emulates.
    emulated_sshd : bool
        Whether its ssh server is its own or this machine's.
    attached : bool
        Whether it ends when its standard input does.
    """

    name: str
    tree: str
    state: str
    authorized_key: str
    cpu: str
    emulated_sshd: bool
    attached: bool

    @property
    def memory(self) -> Path:
        """Where the tmpfs with the board's writes is mounted."""
        return Path(self.state, "memory")

    @property
    def root(self) -> Path:
        """The board's root directory, as seen in its mount namespace."""
        return self.memory / "root"

    @property
    def written(self) -> Path:
        """The files that the board has written since it started, in its mount namespace."""
        return self.memory / "written"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command on the board."""
        return {"HOME": "/root", "PATH": SEARCH_PATH, "QEMU_CPU": self.cpu}

    def to_json(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def main(text: str) -> None:
    """Be the first process of the board that `text` plans."""
    plan = Plan.from_json(text)
    # /proc is still this machine's, so it shows the id that this machine knows the process by.
    print(os.readlink("/proc/self"), flush=True)
    if sys.stdin.readline() != "go\n":
        return
    _mount_root(plan)
    _populate_devices(plan.root)
    _write_identity(plan)
    _start_sshd(plan)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever reads the id may stop listening
    if plan.attached:
        threading.Thread(target=_end_with_input, daemon=True).start()
    _reap_forever()


def _mount_root(plan: Plan) -> None:
    plan.memory.mkdir(exist_ok=True)
    output("mount", "-t", "tmpfs", "-o", "size=1g,mode=755", "board", plan.memory)
    work = plan.memory / "work"
    for directory in (plan.root, plan.written, work):
        directory.mkdir()
    layers = f"lowerdir={plan.tree},upperdir={plan.written},workdir={work}"
    output("mount", "-t", "overlay", "-o", layers, "board", plan.root)
    output("mount", "-t", "proc", "proc", plan.root / "proc")
    output("mount", "-t", "sysfs", "-o", "ro", "sysfs", plan.root / "sys")


def _populate_devices(root: Path) -> None:
    """Give the board a ``/dev``; devices are bound, not made, since a container may not make them."""
    directory = root / "dev"
    output("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "dev", directory)
    for name in DEVICES:
        (directory / name).touch()
        output("mount", "--bind", f"/dev/{name}", directory / name)
    for name, options in (("pts", "newinstance,ptmxmode=0666"), ("shm", "mode=1777")):
        (directory / name).mkdir()
        output("mount", "-t", "devpts" if name == "pts" else "tmpfs", "-o", options, name, directory / name)
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        (directory / name).symlink_to(target)


def _write_identity(plan: Plan) -> None:
    output("hostname", plan.name)
    (plan.root / "etc/hostname").write_text(f"{plan.name}\n")
    (plan.root / "etc/hosts").write_text(f"127.0.0.1 localhost {plan.name}\n")
    (plan.root / "root/.ssh/authorized_keys").write_text(plan.authorized_key)


def _start_sshd(plan: Plan) -> None:
    if plan.emulated_sshd:
        shutil.copy(Path(plan.state, "host_key"), plan.root / "etc/ssh/host_key")
        (plan.root / "etc/ssh/host_key").chmod(0o600)
        config = _sshd_config(plan, "/etc/ssh/host_key", "/root/.ssh/authorized_keys")
        (plan.root / "etc/ssh/sshd_config").write_text(config + "Subsystem sftp internal-sftp\n")
        (plan.root / "run/sshd").mkdir(parents=True, exist_ok=True)
        command = ["chroot", str(plan.root), "/usr/sbin/sshd", "-D", "-e"]
    else:
        config = _sshd_config(plan, f"{plan.state}/host_key", f"{plan.root}/root/.ssh/authorized_keys")
        file = plan.memory / "sshd_config"
        file.write_text(f"{config}ForceCommand {_entry_script(plan)}\n")
        Path("/run/sshd").mkdir(exist_ok=True)
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(file)]
    subprocess.Popen(command, env=plan.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _sshd_config(plan: Plan, host_key: str, authorized_keys: str) -> str:
    variables = " ".join(f"{name}={value}" for name, value in plan.environment.items() if name != "HOME")
    return (
        f"Port {SSH_PORT}\nHostKey {host_key}\nAuthorizedKeysFile {authorized_keys}\nPidFile none\nUsePAM no\n"
        f"PasswordAuthentication no\nPermitRootLogin yes\nStrictModes no\nUseDNS no\nMaxStartups 100\nMaxSessions 100\n"
        f"SetEnv {variables}\n"
    )


def _entry_script(plan: Plan) -> Path:
    """Write the command that this machine's sshd runs for each session, and which enters the board."""
    script = plan.memory / "enter"
    variables = " ".join(f"{name}={value}" for name, value in plan.environment.items())
    script.write_text(
        "#!/bin/sh\n"
        'if [ -n "$SSH_ORIGINAL_COMMAND" ]; then set -- -c "$SSH_ORIGINAL_COMMAND"; else set -- -l; fi\n'
        f'exec env -i {variables} chroot {plan.root} /bin/bash "$@"\n'
    )
    script.chmod(0o755)
    return script


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)  # the first process of a namespace: the kernel ends all others with it


def _reap_forever() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    sys.exit("the board's ssh server has ended")


if __name__ == "__main__":
    main(sys.argv[1])
