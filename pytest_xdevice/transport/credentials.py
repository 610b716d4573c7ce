"""What a host shows to a device server, and what it wants to see of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import DeviceConfig
from ..config import Settings
from ..errors import AuthenticationError
from ..runtime.tokens import NONE_NEEDED
from ..runtime.tokens import read_token


@dataclass(frozen=True)
class Credentials:
    """How host and device server know each other.

    Attributes
    ----------
    token : str or None
        The shared secret; empty where the host was told to go without, None where it has none.
    tls_fingerprint : str or None
        SHA-256 of the certificate that the server must show; None speaks without TLS.
    """

    token: str | None
    tls_fingerprint: str | None = None

    @property
    def insecure(self) -> bool:
        """Whether the host goes without a token."""
        return self.token == NONE_NEEDED


def read_credentials(config: DeviceConfig, settings: Settings) -> Credentials:
    """Return the credentials for a device: its own, else those of the command line.

    Raises
    ------
    AuthenticationError
        If the token file cannot be read, is open to others, or holds no token.
    """
    fingerprint = config.tls_fingerprint or settings.tls_fingerprint
    if config.insecure or (settings.insecure and config.token_file is None):
        return Credentials(NONE_NEEDED, fingerprint)
    path = config.token_file or settings.token_file
    if path is None:
        return Credentials(settings.token, fingerprint)
    try:
        return Credentials(read_token(str(path)), fingerprint)
    except (OSError, ValueError) as error:
        raise AuthenticationError(f"{config.name}: cannot use the token file: {error}") from None
