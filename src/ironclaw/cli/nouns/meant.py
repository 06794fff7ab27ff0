"""Which session is meant: by its id, by the beginning of it, or by whose conversation it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import when
from ironclaw.cli.nouns.places import api_chat
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.model import SessionState
from ironclaw.domain.principals import API_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.cli.client import Client

MeantArgument = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help="Id of a session or its beginning; or AGENT, or AGENT/CHAT for one of your chats "
        "with it: the newest session there.",
    ),
]
MeantOption = Annotated[
    str | None,
    typer.Option(
        metavar="SESSION",
        help="Only this one's: its id or the beginning; or AGENT, or AGENT/CHAT for one of your "
        "chats with it: the newest session there.",
    ),
]
OnlyArgument = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help="Id of a session or its beginning; or AGENT/CHAT for the newest session in one of "
        "your chats with it; or AGENT, where it has one session only.",
    ),
]
ID_BEGINS: Final = "ses_"
"""No name of an agent does."""
_WHOLE: Final = re.compile(r"ses_[a-z2-7]{16}")
_SHOWN: Final = 5


def session_meant(client: Client, ref: str, *, only: bool = False) -> str:
    """The id of the session that somebody means.

    Args:
        client: To the daemon.
        ref: An id or its beginning; an agent, by name or id, for its newest session; behind it
            `/` and a chat, by the name of one's own or by its id, for the newest one there. What
            was forgotten is only meant by an id.
        only: What becomes of it cannot be undone, and the newest one may be somebody else's: an
            agent alone names its session only where it has no other.

    Raises:
        UserError: `NOT_FOUND`; `INVALID`: it could be several, and the hint names them.
    """
    if _WHOLE.fullmatch(ref):
        return ref
    if ref.startswith(ID_BEGINS):
        return _of_beginning(client, ref)
    return _newest(client, ref, only=only)


def one_of(ref: str, ids: Iterable[str]) -> str:
    """The one id that begins so. Raises UserError (`NOT_FOUND`, `INVALID`: there are several)."""
    found = [one for one in ids if one.startswith(ref)]
    if ref in found or len(found) == 1:
        return ref if ref in found else found[0]
    if found:
        raise _several(ref, found)
    raise _nothing(f"There is no session {ref[:80]!r}.")


def _of_beginning(client: Client, ref: str) -> str:
    found = client.get("v1", "sessions")["sessions"]
    return one_of(ref, [one["session"]["id"] for one in found])


def _newest(client: Client, ref: str, *, only: bool) -> str:
    agent, slash, chat = ref.partition("/")
    try:
        found = client.get("v1", "sessions", query=urlencode({"agent": agent}))["sessions"]
    except UserError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise _nothing(f"There is no session and no agent {agent[:80]!r}.") from error
    kept = [one for one in found if one["session"]["state"] != SessionState.FORGOTTEN]
    if slash and kept:
        chats = _chats(client, kept[0]["session"]["agent"], chat)
        kept = [one for one in kept if one["session"]["chat"] in chats]
        if len({one["session"]["chat"] for one in kept}) > 1:
            raise _several(ref, [one["session"]["id"] for one in kept])
    if only and not slash and len(kept) > 1:
        raise _several(ref, [one["session"]["id"] for one in kept])
    if not kept:
        where = f" in a chat {chat[:80]!r}" if slash else ""
        raise _nothing(f"The agent {agent[:80]} has no session{where}.")
    newest = max(kept, key=lambda one: one["session"]["active_ms"])
    id_, active = newest["session"]["id"], when(newest["session"]["active_ms"])
    render.note(f"The newest session of {ref[:160]} is {id_}, active at {active}.")
    return str(id_)


def _chats(client: Client, agent: str, chat: str) -> set[str]:
    """Ids of the agent's chats of that name: one's own of it, else any that has that id."""
    wirings = client.get("v1", "wirings")["wirings"]
    own = api_chat(agent, client.get("v1", "me")["principal"], chat)
    there = [one["chat"] for one in wirings if one["wiring"]["agent"] == agent]
    mine = {
        one["id"] for one in there if (one["channel"], one["platform_id"]) == (API_CHANNEL, own)
    }
    return mine or {one["id"] for one in there if one["platform_id"] in {chat, f"{agent}/{chat}"}}


def _several(ref: str, ids: list[str]) -> UserError:
    more = "" if len(ids) <= _SHOWN else f" and {len(ids) - _SHOWN} more"
    return UserError(
        Code.INVALID,
        f"{ref[:80]!r} could be {len(ids)} sessions.",
        hint=f"Name one of {', '.join(ids[:_SHOWN])}{more}.",
    )


def _nothing(what: str) -> UserError:
    return UserError(Code.NOT_FOUND, what, hint="`ironclaw session list` shows those there are.")
