"""Sealing of content: AES-256-GCM with the session's own content key, bound to its place.

Destroying the key makes every message, reply and step of that session unreadable for good, in the
live file and in every backup of it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from ironclaw.core.ids import SessionId

_NONCE: Final = 12


class ContentKeys(Protocol):
    """Where content keys come from. Called from the store's threads."""

    def content_key(self, session: SessionId) -> bytes:
        """The session's 32-byte content key. Raises HostError (`KEY_UNUSABLE`)."""
        ...


class Content:
    """Seals and unseals what people and agents said."""

    def __init__(self, keys: ContentKeys) -> None:
        self._keys = keys

    def seal(self, session: SessionId, place: str, plain: bytes) -> bytes:
        """Seal `plain`; only the same session and place open it again.

        Args:
            session: Whose content it is.
            place: Table and row id, for example `message/msg_…`.
            plain: Any bytes.

        Raises:
            HostError: `KEY_UNUSABLE`.
        """
        nonce = secrets.token_bytes(_NONCE)
        cipher = AESGCM(self._keys.content_key(session))
        return nonce + cipher.encrypt(nonce, plain, _context(session, place))

    def unseal(self, session: SessionId, place: str, sealed: bytes) -> bytes:
        """Undo `seal`.

        Raises:
            HostError: `KEY_UNUSABLE` when the key is gone, `STORE_CORRUPT` when the row is not what
                was sealed here.
        """
        cipher = AESGCM(self._keys.content_key(session))
        try:
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(session, place))
        except InvalidTag as error:
            raise HostError(
                Code.STORE_CORRUPT,
                "A row of the store is not what was sealed there.",
                hint="Somebody or something changed the store. Put back a backup.",
                detail=f"{session} {place}",
            ) from error


def _context(session: SessionId, place: str) -> bytes:
    return f"ironclaw content 1\0{session}\0{place}".encode()
