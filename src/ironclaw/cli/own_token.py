"""The token that the command line acts with: from the file of the house, or a named one.

A file that was named may be any file of this machine: nothing of it is shown, and nobody is told to
change who may read it unless a token is in it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ironclaw.api.secret_file import read_private
from ironclaw.cli.options import named_token_file
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.domain.tokens import PREFIX

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.config.settings import Settings


class OwnToken(NamedTuple):
    """Whom the command line acts as."""

    path: Path
    secret: str


def read_token(settings: Settings) -> OwnToken | None:
    """The token of this run; None when the house has made none yet.

    Raises:
        UserError: `UNAUTHENTICATED`: the file that was named is not there, or has no token.
        HostError: `KEY_UNUSABLE`: others can read it, or it cannot be read.
    """
    named = named_token_file()
    path = named or settings.token_file
    try:
        secret = read_private(path)
    except HostError as error:
        if named is None or _has_token(path):
            raise
        raise HostError(error.code, error.message, hint=_NAME_ONE) from error
    if secret is None:
        if named is None:
            return None
        raise UserError(Code.UNAUTHENTICATED, f"There is no token file {path}.", hint=_NAME_ONE)
    if not secret.startswith(PREFIX):
        raise UserError(Code.UNAUTHENTICATED, f"There is no token in {path}.", hint=_NAME_ONE)
    return OwnToken(path, secret)


_NAME_ONE = (
    f"--token-file (or IRONCLAW_TOKEN_FILE) names a file that has one token, `{PREFIX}…`, and that "
    "only you can read; without it the command acts as the owner of this machine's house."
)


def _has_token(path: Path) -> bool:
    """Whether a file begins as a token does."""
    try:
        # A pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(PREFIX)) == PREFIX.encode()
    except OSError:
        return False
    finally:
        os.close(descriptor)


def refused(path: Path) -> UserError:
    """The daemon does not know the token."""
    return UserError(
        Code.UNAUTHENTICATED,
        f"The token in {path} is unknown, revoked or expired.",
        hint="Name another file with --token-file. Who has lost theirs gets a new token of a new "
        "principal from an owner or admin: `ironclaw token mint NAME`, then the roles again "
        "(`ironclaw role give`) and `ironclaw principal link`.",
    )


def lost(path: Path) -> UserError:
    """A house runs, and its first token's file is gone."""
    return UserError(
        Code.UNAUTHENTICATED,
        f"The daemon runs, and the file of its first token is gone: {path}.",
        hint="`ironclaw down`, then `ironclaw up` puts a new one there.",
    )
