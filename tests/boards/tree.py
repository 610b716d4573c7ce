"""Make the Debian tree of a board by unpacking packages: no maintainer script runs, so next to nothing is emulated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.boards.architecture import Architecture
from tests.boards.archive import Archive
from tests.boards.archive import unpack
from tests.boards.command import output
from tests.boards.layout import Layout

STAMP = "etc/xdevice-tree"
BASE_PACKAGES = [
    *("base-files", "base-passwd", "bash", "coreutils", "dash", "grep", "libc-bin", "procps", "sed"),
    *("libpython3-stdlib", "openssh-server", "python3-minimal"),
]
OPENCL_PACKAGES = ["ocl-icd-libopencl1", "pocl-opencl-icd", "python3-numpy", "python3-pyopencl"]
LEFT_OUT = ["./usr/share/doc/*", "./usr/share/locale/*", "./usr/share/man/*", "./usr/share/perl/*"]
# Where a system has several, Debian chooses one by a maintainer script's link; here the loader is told of all.
LIBRARY_DIRECTORIES = ("blas", "lapack")


@dataclass(frozen=True)
class TreeKind:
    """What is in a tree."""

    architecture: Architecture
    opencl: bool = False

    @property
    def name(self) -> str:
        """Its directory's name."""
        return self.architecture.debian + ("-opencl" if self.opencl else "")

    @property
    def packages(self) -> list[str]:
        """The packages that were asked for; they bring what they depend on."""
        return BASE_PACKAGES + (OPENCL_PACKAGES if self.opencl else [])

    @property
    def stamp(self) -> str:
        """What the tree's stamp says when it is complete and current."""
        return f"{self.name}: {' '.join(self.packages)}\n"


def ensure_tree(layout: Layout, kind: TreeKind) -> Path:
    """Return the tree of a kind, made first where it is missing or out of date.

    Notes
    -----
    Emulation of the architecture must be in place, and the layout locked.
    """
    tree = layout.trees / kind.name
    stamp = tree / STAMP
    if stamp.exists() and stamp.read_text() == kind.stamp:
        return tree
    layout.trees.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.trees, prefix=".making-") as name:
        new = Path(name) / "tree"
        _unpack_packages(Path(name) / "apt", new, kind)
        _finish(new)
        (new / STAMP).write_text(kind.stamp)
        shutil.rmtree(tree, ignore_errors=True)
        new.rename(tree)
    return tree


def _unpack_packages(state: Path, tree: Path, kind: TreeKind) -> None:
    archive = Archive.open(state, kind.architecture.debian, kind.architecture.suites)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for package in archive.fetch(*kind.packages):
        unpack(package, tree, leave_out=LEFT_OUT)


def _finish(tree: Path) -> None:
    """Do what the maintainer scripts would have done, as far as a board needs it."""
    for name in ("dev", "proc", "sys", "run/sshd", "var/lib", "etc/ld.so.conf.d"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    for name, mode in (("tmp", 0o1777), ("root", 0o700), ("root/.ssh", 0o700)):
        (tree / name).mkdir(parents=True, exist_ok=True)
        (tree / name).chmod(mode)
    _write_accounts(tree)
    if not (tree / "usr/bin/sh").exists():
        (tree / "usr/bin/sh").symlink_to("dash")
    found = [path for name in LIBRARY_DIRECTORIES for path in tree.glob(f"usr/lib/*-linux-gnu*/{name}")]
    listed = "".join(f"/{path.relative_to(tree)}\n" for path in found)
    (tree / "etc/ld.so.conf.d/00-xdevice.conf").write_text(listed)
    output("chroot", tree, "/sbin/ldconfig")
    _byte_compile(tree)


def _write_accounts(tree: Path) -> None:
    masters = tree / "usr/share/base-passwd"
    sshd = "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
    users = (masters / "passwd.master").read_text().replace("root:*:", "root:x:", 1)
    (tree / "etc/passwd").write_text(users + sshd)
    shutil.copy(masters / "group.master", tree / "etc/group")
    shadow = tree / "etc/shadow"
    shadow.write_text("root:*:19000:0:99999:7:::\n")
    shadow.chmod(0o600)
    (tree / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")


def _byte_compile(tree: Path) -> None:
    """Compile the tree's Python modules, so that a board does not do it, tens of times slower, at every start."""
    release = Path(os.readlink(tree / "usr/bin/python3")).name
    libraries = [f"usr/lib/{release}", "usr/lib/python3"]
    arguments = ["-m", "compileall", "-q", "-j", "0", "-x", "/(test|tests|idlelib|lib2to3)/"]
    same = next((each for each in _interpreters(release) if _release(each) == release), None)
    if same is not None:  # compiled modules are the same on every architecture
        present = [str(tree / name) for name in libraries if (tree / name).is_dir()]
        output(
            same, *arguments, "-s", tree, "-p", "/", *present, timeout=600, env={**os.environ, "PYTHONHASHSEED": "0"}
        )
    else:
        output(
            "chroot",
            tree,
            "/usr/bin/python3",
            "-c",
            "import asyncio, ctypes, json, logging, mmap, ssl, subprocess, tarfile",
        )


def _interpreters(release: str) -> list[str]:
    return [sys.executable, *filter(None, [shutil.which(release)])]


def _release(interpreter: str) -> str:
    program = "import sys; print('python%d.%d' % sys.version_info[:2])"
    return subprocess.run([interpreter, "-c", program], capture_output=True, text=True).stdout.strip()
