"""`request_change` and `withdraw_change`: an agent asks its people, and takes that back.

request: arguments -> about itself alone -> a kind that agents may ask for -> strict spec -> gateway

The gateway decides everything else, and audits it. Nothing has changed when this returns, unless
the policy lets it through by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Protocol, cast

import msgspec

from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import ChangeId
from ironclaw.domain.change import MAX_REASON_CHARS, Status
from ironclaw.domain.changes.mounts import AddMount
from ironclaw.domain.changes.skills import AddSkill
from ironclaw.domain.changes.table import SPECS, AnySpec
from ironclaw.domain.changes.task_edits import UpdateTask
from ironclaw.domain.changes.tasks import AddTask
from ironclaw.domain.schedules import moment_ms
from ironclaw.domain.taint import ordered
from ironclaw.services.host_tools.tool import Arguments, NotDoneError, malformed, read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.change import Asker, Row
    from ironclaw.domain.changes.base import Spec
    from ironclaw.domain.model import Agent
    from ironclaw.domain.skills import KeptSkill
    from ironclaw.services.gateway.port import ChangeView
    from ironclaw.services.host_tools.pace import Pace
    from ironclaw.services.host_tools.tool import Call, Taints

if TYPE_CHECKING:
    Skills = Callable[[], Awaitable[Sequence[KeptSkill]]]
    """Looks at those that were imported, the newest of a name first."""

ONE_ASKED_CHARS: Final = 4096
"""Characters of a request that counts as one; a longer one counts as several, for it is kept."""
_Fields = dict[str, msgspec.Raw]
_ADD_SKILL: Final = str(AddSkill.__struct_config__.tag)
_ADD_TASK: Final = str(AddTask.__struct_config__.tag)
_TASKS: Final = (_ADD_TASK, str(UpdateTask.__struct_config__.tag))
KINDS: Final = tuple(sorted(tag for tag, spec in SPECS.items() if spec.by_agents))
"""Tags of what an agent may ask for."""


class Request(Arguments, frozen=True, kw_only=True):
    """Arguments of `request_change`."""

    change: msgspec.Raw
    """A spec without its agent."""
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_REASON_CHARS)]
    for_s: Annotated[int, msgspec.Meta(ge=60, le=366 * 86_400)] | None = None


class Withdrawal(Arguments, frozen=True, kw_only=True):
    """Arguments of `withdraw_change`."""

    change: Annotated[str, msgspec.Meta(pattern=r"\Achg_[a-z0-9]{1,60}\Z")]


class Asks(Protocol):
    """The part of the gateway that agents reach: `services.gateway.port.Gateway`."""

    async def submit(
        self, spec: Spec, *, asker: Asker, actor: None, reason: str, grant_s: int | None = None
    ) -> ChangeView:
        """Ask for a change."""
        ...

    async def withdraw(self, change: ChangeId, *, actor: None, asker: Asker) -> ChangeView:
        """Take a request back."""
        ...


class Chats(Protocol):
    """Knows where turns are: `ironclaw.store.ledger.Ledger`."""

    async def chat_of(self, session: SessionId, turn: str) -> tuple[str, str]:
        """Channel and place of the chat in which a turn is. Raises UserError, HostError."""
        ...


class Asking:
    """The two tools.

    Args:
        gateway: Who is asked.
        pace: How often an agent may ask: every request is shown to people, and kept.
        skills: What was imported: an agent names a skill, and people approve a digest.
        taints: What its turn has read: a request with foreign content behind it needs a person.
        chats: Where its turn is: a task is for that chat unless it says for which.
    """

    def __init__(
        self, gateway: Asks, pace: Pace, skills: Skills, taints: Taints, chats: Chats
    ) -> None:
        self._skills = skills
        self._chats = chats
        self._taints = taints
        self._gateway = gateway
        self._pace = pace

    async def request(self, call: Call) -> str:
        """Ask for a change."""
        asked = read(call.arguments, Request)
        fields = _fields(call.agent, asked.change)
        if _kind(fields) == _ADD_SKILL and "digest" not in fields:
            fields["digest"] = _digest(fields, await self._skills())
        if _kind(fields) == _ADD_TASK and not fields.keys() & {"channel", "platform_id"}:
            # An agent does not know what its chat is called, nor need it.
            channel, platform_id = await self._chats.chat_of(call.session, call.turn)
            fields["channel"] = msgspec.Raw(msgspec.json.encode(channel))
            fields["platform_id"] = msgspec.Raw(msgspec.json.encode(platform_id))
        if "at" in fields and _kind(fields) in _TASKS:
            fields["at_ms"] = _moment(fields, fields.pop("at"))
        spec = _spec(fields)
        self._pace.take(call.agent.id, cost=1 + len(call.arguments) // ONE_ASKED_CHARS)
        asker = call.asker
        if taint := await self._taints.taint_of(call.session, call.turn):
            asker = msgspec.structs.replace(asker, taint=ordered(taint))
        try:
            view = await self._gateway.submit(
                spec, asker=asker, actor=None, reason=asked.reason, grant_s=asked.for_s
            )
        except (UserError, PolicyError) as error:
            if isinstance(spec, AddMount):
                # What exactly is wrong with a path would tell what there is on the host.
                raise NotDoneError(
                    f"{error.code}: this directory cannot be asked for. Ask your people for the "
                    "path of one that may be shared, and do not try others"
                ) from error
            raise
        return _became(view.row)

    async def withdraw(self, call: Call) -> str:
        """Take a request of its own back."""
        change = ChangeId(read(call.arguments, Withdrawal).change)
        await self._gateway.withdraw(change, actor=None, asker=call.asker)
        return f"withdrawn: {change} is taken back, nobody is asked any more"


def _fields(agent: Agent, raw: msgspec.Raw) -> _Fields:
    """What is asked for, about the agent that asks.

    Raises:
        NotDoneError: It is none that an agent may ask for, or about somebody else.

    Trust:
        A model's text. What is decoded in the end is encoded here, so that a name given twice has
        one meaning.
    """
    try:
        fields = msgspec.json.decode(raw, type=_Fields)
        kind = _kind(fields)
    except (ValueError, RecursionError) as error:
        raise malformed(error) from error
    if kind not in KINDS:
        raise NotDoneError(
            f"forbidden: that kind cannot be asked for. `kind` is one of: {', '.join(KINDS)}"
        )
    if "agent" in SPECS[kind].__struct_fields__:
        if "agent" in fields and not _names(agent, fields["agent"]):
            raise NotDoneError(
                "forbidden: you can ask for changes of yourself only; leave `agent` out"
            )
        fields["agent"] = msgspec.Raw(msgspec.json.encode(agent.id))
    return fields


def _kind(fields: _Fields) -> str:
    return msgspec.json.decode(fields.get("kind", b'""'), type=str)


def _moment(fields: _Fields, at: msgspec.Raw) -> msgspec.Raw:
    """A time that was written as people do, for models do not count milliseconds well."""
    if "at_ms" in fields:
        raise NotDoneError("invalid: either `at` or `at_ms`")
    try:
        text = msgspec.json.decode(at, type=str)
        zone = msgspec.json.decode(fields.get("zone", b'"UTC"'), type=str)
    except (ValueError, RecursionError) as error:
        raise malformed(error) from error
    return msgspec.Raw(msgspec.json.encode(moment_ms(text, zone)))


def _spec(fields: _Fields) -> AnySpec:
    """The spec that these are. Raises NotDoneError."""
    try:
        spec = msgspec.json.decode(msgspec.json.encode(fields), type=AnySpec)
    except (ValueError, RecursionError) as error:
        raise malformed(error) from error
    return cast("AnySpec", spec)


def _digest(fields: _Fields, skills: Sequence[KeptSkill]) -> msgspec.Raw:
    """Which skill is meant by its name: the one that was imported last. Raises NotDoneError."""
    named = fields.get("name", msgspec.Raw(b'""'))
    # The newest of a name comes first.
    for skill in skills:
        if bytes(named) == msgspec.json.encode(skill.name):
            return msgspec.Raw(msgspec.json.encode(skill.digest))
    raise NotDoneError(
        "not_found: your people have imported no skill of that name. Ask them for it in words"
    )


def _names(agent: Agent, raw: msgspec.Raw) -> bool:
    """Whether it is a name of the agent itself."""
    try:
        return msgspec.json.decode(raw, type=str) in {agent.id, agent.name}
    except (ValueError, RecursionError):
        return False


def _became(row: Row) -> str:
    change = row.change.id
    match row.status:
        case Status.PENDING:
            return (
                f"asked: {change}. A person decides, maybe much later; nothing has changed yet. "
                "You are told of the outcome in this conversation. Do not ask again"
            )
        case Status.DONE:
            return f"done: {change} is in force"
        case Status.APPROVED | Status.APPLIED:
            return f"approved: {change} is being put in force; my_rights shows it when it is"
        case Status.FAILED:
            return f"failed: {change} was agreed to and did not work ({row.code}); people see why"
        case Status.OVERTAKEN:
            return f"overtaken: {change}. {row.problem} Do not ask again"
        case Status.DENIED | Status.EXPIRED | Status.WITHDRAWN:
            return f"{row.status}: {change}. Do not ask again"
