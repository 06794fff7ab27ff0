"""What providers want back with their models' thoughts is sealed before a box keeps it.

A box neither learns whose model thinks, nor can make up or alter what goes back to a provider: what
does not open is left out of the call, as is what another model thought. The key lives as long as
the core; a turn that goes on after a restart goes on without what was thought before.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ironclaw_contract.entries import Thought
from ironclaw_contract.limits import MAX_OPAQUE_CHARS

if TYPE_CHECKING:
    from ironclaw.core.ids import SessionId
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.rpc import Generate, Generated

_NONCE: Final = 12
_TAG: Final = 16


class Sealer:
    """Seals and opens; a thought is bound to its session, its model and its words."""

    def __init__(self) -> None:
        self._cipher = AESGCM(secrets.token_bytes(32))

    def seal(self, answer: Generated, session: SessionId, model: str) -> Generated:
        """An answer as it goes to the box."""
        entries = tuple(
            self._sealed(entry, session, model) if isinstance(entry, Thought) else entry
            for entry in answer.entries
        )
        return msgspec.structs.replace(answer, entries=entries)

    def open(self, request: Generate, session: SessionId, model: str) -> Generate:
        """A call as it goes to the provider of `model`.

        Trust:
            A box sends whatever it likes as a thought: only what was sealed for this session and
            this very model, with just these words, is left.
        """
        if not any(isinstance(entry, Thought) for entry in request.entries):
            return request
        opened: list[Entry] = []
        for entry in request.entries:
            if not isinstance(entry, Thought):
                opened.append(entry)
            elif (thought := self._opened(entry, session, model)) is not None:
                opened.append(thought)
        return msgspec.structs.replace(request, entries=tuple(opened))

    def _sealed(self, thought: Thought, session: SessionId, model: str) -> Thought:
        raw = thought.opaque.encode("utf-8", "surrogatepass")
        if not raw or _sealed_chars(len(raw)) > MAX_OPAQUE_CHARS:
            return Thought(text=thought.text)
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._cipher.encrypt(nonce, raw, _bound(thought, session, model))
        return Thought(text=thought.text, opaque=base64.b64encode(nonce + sealed).decode())

    def _opened(self, thought: Thought, session: SessionId, model: str) -> Thought | None:
        try:
            raw = base64.b64decode(thought.opaque, validate=True)
            opaque = self._cipher.decrypt(
                raw[:_NONCE], raw[_NONCE:], _bound(thought, session, model)
            )
            return Thought(text=thought.text, opaque=opaque.decode("utf-8", "surrogatepass"))
        except (ValueError, InvalidTag):
            return None


def _sealed_chars(size: int) -> int:
    """Characters that so many bytes take when they are sealed."""
    return -(-(size + _NONCE + _TAG) // 3) * 4


def _bound(thought: Thought, session: SessionId, model: str) -> bytes:
    words = hashlib.sha256(thought.text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{session}\0{model}\0{words}".encode("utf-8", "replace")
