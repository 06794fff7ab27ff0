"""Which conversation a request of the front door belongs to: the rule of continuity.

`Openings.chat` takes the first of these that the request has:

1. `previous_response_id`: the chat of that response;
2. a name: the header `X-IronClaw-Chat`, `conversation`, or `chat` in `metadata`;
3. what it says: conversations that begin with the same words are numbered. A request in which the
   user has said nothing before begins the next one. Any other goes on in the one whose kept past is
   what the client sends, or else begins with the same reply, or else is the newest.

Chats are of one principal and one agent, so no rule can lead into somebody else's. The ledger is
the only history: what a client sends again chooses among its principal's own chats, no more.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import hashlib
import re
import weakref
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.api.messages import check_name
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChatId
from ironclaw.domain.questions import as_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.api.openai_said import Said
    from ironclaw.core.ids import AgentId, MessageId, PrincipalId
    from ironclaw.services.house import ChatEvent, House

HEADER: Final = "x-ironclaw-chat"
COMPARED: Final = 16
"""Conversations with the same beginning that are looked at, the newest first."""
PAST: Final = 400
"""Kept events of one conversation that are compared, at most."""
_FULL: Final = 2
MAX_KEYS: Final = 1024
"""Idempotency keys whose chats are remembered, the newest."""

_RESPONSE = re.compile(r"\Aresp_([a-z2-7]{16})([a-z2-7]{16})\Z")


class Whose(NamedTuple):
    """Two sides of a conversation."""

    agent: AgentId
    principal: PrincipalId


class Wish(NamedTuple):
    """What of a request says which conversation it is."""

    said: Said
    names: tuple[str | None, ...] = ()
    """Names that the request gives, the one that counts first."""
    previous: str | None = None
    """The id of a response."""
    end_user: str = ""
    """Who speaks through the client, when it says so."""
    key: str | None = None
    """`Idempotency-Key`."""
    is_repeat: bool = False
    """Whether the client's library says that it sends it again."""


class Openings:
    """Finds chats. One for a whole API: two openings at once must not be given one chat."""

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[Whose, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )
        self._keys: collections.OrderedDict[tuple[Whose, str, str], str] = collections.OrderedDict()

    def lock(self, whose: Whose) -> asyncio.Lock:
        """Held from finding a chat until the message is in it, which takes long with files.

        One for each principal and agent: no rule leads into chats of others, so nobody waits for
        somebody else's message.
        """
        return self._locks.setdefault(whose, asyncio.Lock())

    async def chat(self, house: House, whose: Whose, wish: Wish) -> str:
        """The name of the chat.

        Raises:
            UserError: `INVALID` for a bad name; `NOT_FOUND` for a response that is not theirs.
        """
        if wish.previous is not None:
            return await _of_response(house, whose, wish.previous)
        for name in wish.names:
            if name is not None:
                check_name(name)
                return name
        return await self._by_words(house, whose, wish)

    async def _by_words(self, house: House, whose: Whose, wish: Wish) -> str:
        stem = stem_of(wish.said.first, wish.end_user)
        place = (whose, stem, wish.key or "")
        if wish.key and (known := self._keys.get(place)) is not None:
            return known
        name = f"{stem}.{await self._number(house, whose, wish, stem)}"
        if wish.key:
            self._keys[place] = name
            if len(self._keys) > MAX_KEYS:
                self._keys.popitem(last=False)
        return name

    async def _number(self, house: House, whose: Whose, wish: Wish, stem: str) -> int:
        async def is_begun(number: int) -> bool:
            return await _past(house, whose, f"{stem}.{number}", limit=1) != []

        newest = await last_of(is_begun)
        if not wish.said.is_opening:
            return await _best(house, whose, wish.said, stem, newest)
        return max(newest, 1) if wish.is_repeat else newest + 1


def stem_of(first: str, end_user: str) -> str:
    """What the names of conversations that begin with the same words have in common."""
    words = first.strip().encode("utf-8", "surrogatepass")
    who = end_user.encode("utf-8", "surrogatepass")
    # Lengths in front: no two pairs give the same bytes.
    digest = hashlib.sha256(b"%d/%d/" % (len(who), len(words)) + who + words).digest()
    return f"auto.{base64.b32encode(digest[:20]).decode().lower()}"


async def last_of(is_begun: Callable[[int], Awaitable[bool]]) -> int:
    """The highest number that is begun, of 1, 2, … without a hole; asks for few of them."""
    low, high = 0, 1
    while await is_begun(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if await is_begun(middle):
            low = middle
        else:
            high = middle
    return low


async def _best(house: House, whose: Whose, said: Said, stem: str, newest: int) -> int:
    """The number of the conversation that the client goes on with."""
    if newest <= 1:
        return 1
    best, number = -1, newest
    # One that has more than this is not what the client sends.
    limit = min(PAST, 4 * len(said.past) + 8)
    for candidate in range(newest, max(0, newest - COMPARED), -1):
        past = await _past(house, whose, f"{stem}.{candidate}", limit=limit)
        likeness = likeness_of(said, past, handle=whose.principal.partition(":")[2])
        if likeness > best:
            best, number = likeness, candidate
        if best == _FULL:
            break
    return number


def likeness_of(said: Said, past: list[ChatEvent], *, handle: str) -> int:
    """How well a chat's past is what a client sends: 2 all of it, 1 its first reply, 0 neither."""
    users, replies = said.of("user"), said.of("assistant")
    kept_users = [
        event.text for event in past if event.kind == "message" and event.sender == handle
    ]
    kept = [words_of(event) for event in past if event.kind in {"reply", "question"}]
    if not (kept and replies and _is_shown(kept[0], replies[0])):
        return 0
    same_users = list(map(str.strip, users)) == list(map(str.strip, kept_users))
    same_replies = len(kept) == len(replies) and all(map(_is_shown, kept, replies))
    return _FULL if same_users and same_replies else 1


def words_of(event: ChatEvent) -> str:
    """A reply as its client reads it; of a question with its options, as it shows no buttons."""
    if event.kind != "question":
        return event.text
    return as_text(event.text, event.options, free_text=event.free_text)


def _is_shown(kept: str, sent: str) -> bool:
    """Whether a client has a reply: what was streamed to it can have more in front."""
    return sent.strip().endswith(kept.strip())


async def _past(house: House, whose: Whose, name: str, *, limit: int) -> list[ChatEvent]:
    chat = await house.chat_named(whose.agent, name, principal=whose.principal)
    return [] if chat is None else await house.past_of(chat, limit=limit)


def response_id(chat: ChatId, message: MessageId) -> str:
    """The id of the response to a message: it says itself where it is, so nothing is kept."""
    return f"resp_{chat.partition('_')[2]}{message.partition('_')[2]}"


async def _of_response(house: House, whose: Whose, ref: str) -> str:
    found = _RESPONSE.match(ref)
    nothing = UserError(
        Code.NOT_FOUND,
        f"There is no response {ref[:80]!r} of this model that is yours.",
        hint="Leave `previous_response_id` out to begin anew, or name the chat.",
    )
    if found is None:
        raise nothing
    try:
        place = await house.place_of(ChatId(f"cht_{found[1]}"))
    except UserError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise nothing from error
    if (place.agent, place.principal) != whose:
        raise nothing
    return place.name
