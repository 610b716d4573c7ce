"""The token that host and device server share: made at random, kept in a file that its owner alone can read."""

from __future__ import annotations

import os
from typing import Tuple

LEAST = 16  # characters
NONE_NEEDED = ""  # what both sides take for the token where they were told to go without


class Token(str):
    """A token whose `repr` does not tell it, so that no traceback and no report with local variables does."""

    def __repr__(self) -> str:
        return "<token>"


def new_token() -> Token:
    """Return a fresh token of 256 random bits, as 43 URL-safe characters."""
    import secrets  # loads hashlib, of which a host that was given its token has no need

    return Token(secrets.token_urlsafe(32))


def read_token(path: str) -> Token:
    """Return the token in a file.

    Raises
    ------
    OSError
        If the file cannot be read; PermissionError if others than its owner may read or change it.
    ValueError
        If the file holds no token of at least 16 characters in one line.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise PermissionError(f"{path} is open to others than its owner: chmod 600 {path}")
        text = file.read(4096)
    try:
        token = text.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if len(token) < LEAST or not token.isprintable() or " " in token:
        raise ValueError(f"{path} holds no token: it must be one word of at least {LEAST} ASCII characters")
    return Token(token)


def read_or_make_token(path: str) -> Tuple[Token, bool]:
    """Return the token in a file; where there is no such file, make one, readable by its owner alone.

    Returns
    -------
    tuple of Token and bool
        The token, and whether it is new.

    Raises
    ------
    OSError, ValueError
        As `read_token` does.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(path), False
    token = new_token()
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token, True
