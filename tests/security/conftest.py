"""Servers with certificates, for the tests of what keeps strangers out."""

from __future__ import annotations

import shutil

import pytest

from tests.harness.certificate import Certificate
from tests.harness.certificate import make_certificate
from tests.harness.requirement import unavailable


@pytest.fixture(scope="session")
def certificate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for a device server."""
    if shutil.which("openssl") is None:
        unavailable(request.config, "no openssl on PATH to make a certificate with")
    return make_certificate(tmp_path_factory.mktemp("certificate"))
