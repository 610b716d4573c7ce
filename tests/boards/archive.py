"""Fetch and unpack Debian packages of any architecture without touching this machine's own package state."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.boards.command import output
from tests.boards.errors import BoardError
from tests.boards.errors import BoardUnavailable

ARCHIVE_VARIABLE = "XDEVICE_BOARDS_ARCHIVE"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
UNPACK_LIMIT = 600.0  # seconds


def archive_address() -> str:
    """Return the address of the Debian archive that this machine installs from.

    Raises
    ------
    BoardUnavailable
        When this is no Debian machine and ``$XDEVICE_BOARDS_ARCHIVE`` does not name an archive.
    """
    named = os.environ.get(ARCHIVE_VARIABLE)
    if named:
        return named
    release = platform.freedesktop_os_release()
    if release["ID"] == "debian":
        targets = output(
            "apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(SITE)", "Created-By: Packages"
        )
        for line in targets.splitlines():
            suite, component, site = line.split(maxsplit=2)
            if (suite, component) == (release.get("VERSION_CODENAME"), "main"):
                return site
    raise BoardUnavailable(f"apt knows no Debian archive here: set {ARCHIVE_VARIABLE} to the address of one")


@dataclass(frozen=True)
class Archive:
    """Packages of one architecture and release, seen through an apt state of its own.

    Attributes
    ----------
    directory : Path
        Where that state and the downloads are.
    suite : str
        The Debian release.
    """

    directory: Path
    suite: str

    @classmethod
    def open(cls, directory: Path, debian_architecture: str, suites: Iterable[str]) -> Archive:
        """Fetch the package index of the first of `suites` that has the architecture.

        Raises
        ------
        BoardUnavailable
            When none can be had, with what apt said about each.
        """
        if not KEYRING.exists():
            raise BoardUnavailable(f"{KEYRING} is missing: install debian-archive-keyring")
        address = archive_address()
        refusals = []
        for suite in suites:
            archive = cls(directory, suite)
            archive._configure(debian_architecture, address)
            try:
                archive._apt("update", "--error-on=any")
            except BoardError as error:
                refusals.append(f"{suite}: {error}")
            else:
                return archive
        raise BoardUnavailable(f"no package index for {debian_architecture} can be had: {'; '.join(refusals)}")

    def fetch(self, *packages: str) -> list[Path]:
        """Download packages with all that they depend on."""
        self._apt("install", "--assume-yes", "--download-only", *packages)
        return sorted((self.directory / "cache" / "archives").glob("*.deb"))

    def fetch_alone(self, package: str) -> Path:
        """Download one package without what it depends on."""
        self._apt("download", package)
        return next(self.directory.glob(f"{package}_*.deb"))

    def _configure(self, architecture: str, address: str) -> None:
        for part in ("lists/partial", "cache/archives/partial", "parts"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        (self.directory / "status").touch()
        (self.directory / "sources.list").write_text(f"deb [signed-by={KEYRING}] {address} {self.suite} main\n")
        # A mirror that lags is still signed and hashed, hence no Check-Valid-Until.
        (self.directory / "apt.conf").write_text(f"""
            #clear APT::Architectures;
            APT {{ Architecture "{architecture}"; Architectures {{ "{architecture}"; }}; Install-Recommends "false";
                   Sandbox::User "root"; }};
            Acquire {{ Languages "none"; Check-Valid-Until "false"; Retries "2"; }};
            Dir {{ State "{self.directory}"; State::status "{self.directory}/status"; Cache "{self.directory}/cache";
                   Etc {{ SourceList "{self.directory}/sources.list"; SourceParts "{self.directory}/parts";
                          Preferences "/dev/null"; PreferencesParts "{self.directory}/parts"; }}; }};
        """)

    def _apt(self, *arguments: str) -> None:
        output(
            "apt-get",
            f"--config-file={self.directory / 'apt.conf'}",
            "-qq",
            *arguments,
            timeout=600,
            cwd=self.directory,
        )


def unpack(package: Path, directory: Path, *, only: str | None = None, leave_out: Iterable[str] = ()) -> None:
    """Unpack a package's files; none of its scripts are run.

    Parameters
    ----------
    package : Path
        The ``.deb`` file.
    directory : Path
        Where its root goes. Links to directories there (``/bin`` and the like) are kept.
    only : str, optional
        A pattern: nothing else is unpacked.
    leave_out : iterable of str
        Patterns of what is not unpacked.
    """
    options = ["--keep-directory-symlink", *(f"--exclude={pattern}" for pattern in leave_out)]
    wanted = ["--wildcards", only] if only else []
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as content:
        tar = ["tar", "--directory", str(directory), *options, "--extract", *wanted]
        done = subprocess.run(tar, stdin=content.stdout, capture_output=True, timeout=UNPACK_LIMIT)
    if done.returncode or content.returncode:
        raise BoardError(f"{package.name} could not be unpacked: {done.stderr.decode(errors='replace').strip()}")
