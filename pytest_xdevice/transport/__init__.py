"""How a device is reached. `open_transport` chooses by the form of the device's specification."""

from __future__ import annotations

from ..errors import AuthenticationError
from .credentials import Credentials
from .lease import Applicant
from .lease import Occupancy
from .protocol import Transport
from .spec import Spec

__all__ = ["Applicant", "Occupancy", "Spec", "Transport", "open_transport"]


def open_transport(spec: Spec, *, credentials: Credentials, applicant: Applicant) -> Transport:
    """Return the transport for `spec`, not yet opened.

    Parameters
    ----------
    spec : Spec
    credentials : Credentials
        The device server's token and certificate; only a socket needs them.
    applicant : Applicant
        Who wants the device.

    Raises
    ------
    AuthenticationError
        If a socket is asked for and there is no token.
    """
    if spec.kind == "socket":
        from .tcp import SocketTransport

        if credentials.token is None:
            raise AuthenticationError(
                f"{spec.host}:{spec.port}: no token: give the one that the server printed at its start, "
                "as --xdevice-token-file FILE (--token-file of the command xdevice) or in the environment variable "
                "XDEVICE_TOKEN"
            )
        return SocketTransport(spec, credentials, applicant)
    if spec.kind == "ssh":
        from .ssh import SshTransport

        return SshTransport(spec, applicant)
    if spec.kind == "labgrid":
        from .labgrid import LabgridTransport

        return LabgridTransport(spec, applicant)
    from .process import ProcessTransport

    return ProcessTransport(spec, applicant)
