"""Who may pass a door: the right that an endpoint asks for, over what it is about.

actor_of -> admit -> the gateway's rights: what the roles give and the token lets through

What somebody may not even look at does not exist for them: the same words, whoever asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, assert_never

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import ChatId, QuestionId, SessionId
from ironclaw.domain.model import Role
from ironclaw.domain.policy import Proof
from ironclaw.domain.rights import RIGHTS, Actor, Right
from ironclaw.domain.tokens import LIMITS, Scope, limit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.core.ids import AgentId
    from ironclaw.domain.model import Agent
    from ironclaw.domain.tokens import Token
    from ironclaw.services.house import ChatPlace, House

About = Literal["house", "agent", "session", "question", "change", "chat", "file", "any", "own"]
"""What the right is asked for:

- `house`: over everything, so held globally;
- `agent`, `session`: with the agent that the path names, or whose session it names;
- `question`: with the agent that asked it, by who talks in the chat that it is in;
- `chat`: to follow one's own, or to look at what its agent (or the house) has;
- `file`: the same, of a chat in which it was shown;
- `any`: with one agent at least; the handler shows only what is of such agents;
- `change`: the same, and the gateway decides over the one change or grant;
- `own`: any valid token will do, the answer is about the caller.
"""

SIGHT: Final = frozenset({Right.READ, Right.TALK})
"""Who has none of these with an agent is not told that it exists."""


def actor_of(token: Token) -> Actor:
    """Who acts with a token; nothing else of a request says it."""
    return Actor(token.principal, limit_of(token.scopes), Proof.TOKEN)


async def admit(
    house: House, actor: Actor, about: About, right: Right | None, path: Callable[[str], str]
) -> None:
    """Let a request in, or say why not.

    Args:
        house: The core.
        actor: Who asks.
        about: What the right is asked for.
        right: Which; None only for `own`.
        path: Gives a parameter of the path by its name.

    Raises:
        UserError: `NOT_FOUND`, for what is not there or not theirs to see.
        PolicyError: `FORBIDDEN`, with the role or scope that is missing.
    """
    if about == "own":
        return
    if right is None:
        raise AssertionError("an endpoint asks for a right, or is about the caller alone")
    match about:
        case "house":
            await require(house, actor, right, None)
        case "agent":
            agent = await seen_agent(house, actor, path("agent"))
            await require(house, actor, right, agent.id)
        case "session":
            await require(house, actor, right, await seen_session(house, actor, path("session")))
        case "question":
            await _check_question(house, actor, right, path("question"))
        case "chat":
            await _check_chat(house, actor, path("chat"))
        case "file":
            await _check_file(house, actor, path("file"))
        case "any" | "change":
            await _require_anywhere(house, actor, right)
        case _:
            assert_never(about)


async def require(house: House, actor: Actor, right: Right, agent: AgentId | None) -> None:
    """Raises PolicyError (`FORBIDDEN`) unless the actor has that right."""
    if right in await house.gateway.rights(actor, agent):
        return
    held = await house.gateway.rights(actor._replace(limit=frozenset(Right)), agent)
    if agent is None:
        raise _forbidden(actor, right, "for all agents", "", has_role=right in held)
    name = (await house.agent(agent)).name
    where = f"for the agent {name}"
    raise _forbidden(actor, right, where, f" --agent {name}", has_role=right in held)


async def _require_anywhere(house: House, actor: Actor, right: Right) -> None:
    if await house.gateway.may_anywhere(actor, right) != frozenset():
        return
    unlimited = actor._replace(limit=frozenset(Right))
    has_role = await house.gateway.may_anywhere(unlimited, right) != frozenset()
    raise _forbidden(actor, right, "for any agent", " --agent AGENT", has_role=has_role)


def _forbidden(
    actor: Actor, right: Right, where: str, scope: str, *, has_role: bool
) -> PolicyError:
    """The refusal of a right; `scope` keeps a role that the hint asks for to what it is about."""
    if has_role:
        scopes = [scope for scope in Scope if right in LIMITS[scope]]
        return PolicyError(
            Code.FORBIDDEN,
            f"The token lacks the scope {' or '.join(scopes)}.",
            hint="Use a token with that scope: `ironclaw token mint` makes one.",
        )
    roles = [role for role in Role if right in RIGHTS[role]]
    return PolicyError(
        Code.FORBIDDEN,
        f"{actor.principal} does not have the right to {right} {where}.",
        hint=f"It takes one of the roles {', '.join(roles)}: ask an owner for "
        f"`ironclaw role give {actor.principal} {roles[-1]}{scope}`.",
    )


async def seen_agent(house: House, actor: Actor, ref: str) -> Agent:
    """An agent by name or id, for somebody who may look at it or talk to it.

    Raises:
        UserError: `NOT_FOUND`, in the same words for one that is not and one that is not theirs.
    """
    try:
        agent = await house.agent(ref)
    except UserError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise _nothing("agent", ref) from error
    if SIGHT.isdisjoint(await house.gateway.rights(actor, agent.id)):
        raise _nothing("agent", ref)
    return agent


async def archived_agent(house: House, actor: Actor, ref: str) -> Agent:
    """An archived agent by name or id; as `seen_agent` when none of that name is archived.

    Raises:
        UserError: `NOT_FOUND`; `CONFLICT` when several archived agents had that name.
    """
    found = [
        agent
        for agent in await house.agents(archived=True)
        if agent.archived
        and agent.name == ref
        and not SIGHT.isdisjoint(await house.gateway.rights(actor, agent.id))
    ]
    if len(found) > 1:
        raise UserError(
            Code.CONFLICT,
            f"{len(found)} archived agents had the name {ref[:80]!r}.",
            hint=f"Name one by its id: {', '.join(agent.id for agent in found)}.",
        )
    return found[0] if found else await seen_agent(house, actor, ref)


async def talked_agent(house: House, actor: Actor, ref: str) -> Agent:
    """An agent by name or id, for somebody who may talk to it.

    Raises:
        UserError: `NOT_FOUND`, as `seen_agent`.
        PolicyError: `FORBIDDEN`, for somebody who may only look at it.
    """
    agent = await seen_agent(house, actor, ref)
    await require(house, actor, Right.TALK, agent.id)
    return agent


async def seen_session(house: House, actor: Actor, ref: str) -> AgentId:
    """Whose session it is, for somebody who may look at that agent or talk to it.

    Raises:
        UserError: `NOT_FOUND`, as `seen_agent`.
    """
    try:
        agent = await house.agent_of(SessionId(ref))
    except UserError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise _nothing("session", ref) from error
    if SIGHT.isdisjoint(await house.gateway.rights(actor, agent)):
        raise _nothing("session", ref)
    return agent


async def _check_question(house: House, actor: Actor, right: Right, ref: str) -> None:
    """Let in who may speak where a question is asked; who may look on there is told whose it is."""
    try:
        question = await house.questions.find(QuestionId(ref))
        place = await house.place_of(question.chat)
    except UserError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise _nothing("question", ref) from error
    if not await may_follow(house, actor, place):
        raise _nothing("question", ref)
    await require(house, actor, right, question.agent)
    if not speaks_in(actor, place):
        whose = "another channel" if place.principal is None else str(place.principal)
        raise PolicyError(
            Code.FORBIDDEN,
            f"The question is asked in a chat of {whose}, and is answered by who talks there.",
            hint="Who may look at a chat does not speak in it: let them answer, or stop the turn "
            "with `ironclaw session stop`.",
        )


def speaks_in(actor: Actor, place: ChatPlace) -> bool:
    """Whether somebody may say something in a chat by the API: in their own alone.

    Also an owner says nothing in the place of others: the agent takes what is said there for the
    word of those whose chat it is.
    """
    return place.principal == actor.principal


async def _check_chat(house: House, actor: Actor, ref: str) -> None:
    try:
        place = await house.place_of(ChatId(ref))
    except UserError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise _nothing("chat", ref) from error
    if not await may_follow(house, actor, place):
        raise _nothing("chat", ref)


async def _check_file(house: House, actor: Actor, ref: str) -> None:
    try:
        opened = await house.file(ref)
        places = [await house.place_of(chat) for chat in opened.chats]
    except UserError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise _nothing("file", ref) from error
    for place in places:
        if await may_follow(house, actor, place):
            return
    raise _nothing("file", ref)


async def may_follow(house: House, actor: Actor, place: ChatPlace) -> bool:
    """Whether somebody may see what happens in a chat.

    Their own, while they may talk to its agent; those of an agent that they may look at. A chat of
    another channel can have several agents: it takes a right over the whole house.
    """
    held = await house.gateway.rights(actor, place.agent)
    return Right.READ in held or (Right.TALK in held and place.principal == actor.principal)


_WHERE: Final = {
    "agent": "`ironclaw me` shows which agents you have to do with; `ironclaw agent list --all` "
    "has archived ones too.",
    "session": "`ironclaw session list` shows those there are.",
    "question": "`ironclaw question list` shows those that are open.",
    "chat": "`ironclaw me` shows which agents you have to do with.",
    "file": "`ironclaw chat AGENT` names the id of each file, fil_…, where it is shown; "
    "`ironclaw file list` lists them.",
}
"""Where to look for what is not there, by its kind."""


def _nothing(kind: str, ref: str) -> UserError:
    return UserError(
        Code.NOT_FOUND,
        f"There is no {kind} {ref[:80]!r} that you may see.",
        hint=_WHERE[kind],
    )
