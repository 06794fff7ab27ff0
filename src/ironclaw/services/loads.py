"""How many bytes of files are with a box at once: what waits in its queue is memory of the host.

A message that wants an answer goes to the box when those before it that have files are answered, or
when all of them are small together. Context is only ever background: what it has too much of stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ironclaw.core.ids import MessageId
    from ironclaw.domain.model import Message

WANTED_BYTES: Final = 32 * 1024 * 1024
"""Of messages that want an answer: one of the largest."""
CONTEXT_BYTES: Final = 8 * 1024 * 1024
"""Of messages that are only context."""
TOO_MUCH: Final = "[{} with this could not be handed over: too much came at once]"


class _Sent(NamedTuple):
    message: MessageId
    engage: bool
    size: int


class Load:
    """What is with one box. Pure."""

    def __init__(self) -> None:
        self._sent: list[_Sent] = []
        self._holds = False

    @property
    def holds(self) -> bool:
        """Whether something was held back that may go once more is answered."""
        return self._holds

    def admit(self, messages: Sequence[Message]) -> list[Message]:
        """The first of these that may go now, in order; they are with the box from now on."""
        self._holds = False
        found: list[Message] = []
        again = {message.id for message in messages}
        self._sent = [sent for sent in self._sent if sent.message not in again]
        for message in messages:
            size = sum(file.size for file in message.files)
            before = sum(sent.size for sent in self._sent if sent.engage == message.engage)
            if message.engage and before and before + size > WANTED_BYTES:
                self._holds = True
                break
            if not message.engage and before + size > CONTEXT_BYTES:
                found.append(_without_files(message))
                continue
            if size:
                self._sent.append(_Sent(message.id, message.engage, size))
            found.append(message)
        return found

    def settle(self, answered: Iterable[MessageId]) -> bool:
        """These are answered, and the box has read all before them; whether more may go now."""
        gone = set(answered)
        last = max((n for n, sent in enumerate(self._sent) if sent.message in gone), default=-1)
        del self._sent[: last + 1]
        return self._holds and last >= 0

    def lose(self) -> None:
        """Nobody can say what is with the box."""
        self._sent.clear()


def _without_files(message: Message) -> Message:
    count = len(message.files)
    told = TOO_MUCH.format("a file" if count == 1 else f"{count} files")
    return msgspec.structs.replace(message, files=(), text=f"{message.text}\n{told}".strip())
