"""What a channel heard, bounded and clean before anything is decided on it. Pure."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.attachments import check_files
from ironclaw_contract.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from ironclaw.domain.model import Event

MAX_ID_CHARS: Final = 256
"""Characters of a platform's own ids and of a handle."""
MAX_SENDER_CHARS: Final = 256


def checked(event: Event) -> Event:
    """The event with its fields bounded and clean.

    Raises:
        UserError: `TOO_LARGE` or `INVALID`.

    Trust:
        Foreign in, bounded out: valid UTF-8, no NUL, ids without control characters.
    """
    # Characters first: encoding a giant only to measure it would cost its size again.
    if len(event.text) > MAX_TEXT_BYTES or len(_bytes("text", event.text)) > MAX_TEXT_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"A message has at most {MAX_TEXT_BYTES} bytes.",
            hint="Send it in parts, or as a file.",
        )
    if "\0" in event.text:
        raise UserError(Code.INVALID, "The text has a NUL character.", hint="Remove it.")
    if not event.text.strip() and not event.files:
        raise UserError(Code.INVALID, "The message has no text.", hint="Say something.")
    check_files(event.files)
    for name in ("channel", "platform_id", "handle", "external_id"):
        _check_id(name, getattr(event, name))
    if event.thread is not None:
        _check_id("thread", event.thread)
    _bytes("sender", event.sender)
    sender = "".join(
        char for char in event.sender[:MAX_SENDER_CHARS] if unicodedata.category(char) != "Cc"
    )
    return msgspec.structs.replace(event, sender=sender)


def _check_id(name: str, value: str) -> None:
    _bytes(name, value)
    if not 0 < len(value) <= MAX_ID_CHARS or any(
        unicodedata.category(char) == "Cc" for char in value
    ):
        raise UserError(
            Code.INVALID,
            f"`{name}` has 1 to {MAX_ID_CHARS} characters and no control characters.",
            hint="Send the platform's own id as it is.",
        )


def _bytes(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            Code.INVALID,
            f"`{name}` is not valid Unicode text.",
            hint="It holds half a surrogate pair: send well-formed UTF-8.",
        ) from error
