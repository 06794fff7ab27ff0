"""Ids of tool calls as each provider wants them. Pure.

A conversation goes from one provider to another, by a fallback or because people chose so, and with
it the ids of calls that the former one made. Some refuse the whole conversation for one such id.

Sources: Mistral's refusal 3280 and Amazon's `ToolUseBlock`; Anthropic's and OpenAI's refusals of a
longer or otherwise written id.
"""

from __future__ import annotations

import hashlib
import re
import string
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw_contract.entries import Called, Returned

if TYPE_CHECKING:
    from ironclaw_contract.entries import Entry

_NINE: Final = re.compile(r"[A-Za-z0-9]{9}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_WANTED: Final = {
    "mistral": _NINE,
    "anthropic": _PLAIN,
    "bedrock": _PLAIN,
    "openai": _PLAIN,
    "azure": _PLAIN,
}
"""By the library's names of providers. The others take what they are given; some models read the
ids that they made themselves."""
_LETTERS: Final = string.ascii_letters + string.digits
_LENGTH: Final = 9
"""What every provider takes."""


def with_id_for(system: str, entry: Entry) -> Entry:
    """The entry, with an id of its call that the provider takes; the same id gives the same.

    Args:
        system: The library's name of the provider.
        entry: Any.
    """
    wanted = _WANTED.get(system)
    if wanted is None or not isinstance(entry, Called | Returned) or wanted.fullmatch(entry.call):
        return entry
    return msgspec.structs.replace(entry, call=_short(entry.call))


def _short(call: str) -> str:
    number = int.from_bytes(hashlib.sha256(call.encode(errors="replace")).digest())
    found = ""
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_LETTERS))
        found += _LETTERS[digit]
    return found
