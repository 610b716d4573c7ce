"""A certificate of a device server's own, made for one test."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key.

    Attributes
    ----------
    certificate, key : Path
        PEM files.
    """

    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """The certificate's SHA-256, as 64 hexadecimal digits."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate.read_text())).hexdigest()

    @property
    def options(self) -> list[str]:
        """The server's options that use it."""
        return [f"--tls-cert={self.certificate}", f"--tls-key={self.key}"]


def make_certificate(directory: Path) -> Certificate:
    """Make a certificate with the command of the documentation, below `directory`."""
    made = Certificate(directory / "cert.pem", directory / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "3650", "-subj", "/CN=device", "-keyout", str(made.key), "-out", str(made.certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return made
