"""A house in which every row of the authorisation matrix can be asked of everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tests.support.asgi import Answer, ask

from ironclaw.core.ids import PrincipalId, new_id
from ironclaw.domain.change import Asker, Seen
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.tasks import AddTask
from ironclaw.domain.model import Event, Role, Upload
from ironclaw.domain.policy import Proof
from ironclaw.domain.rights import Actor
from ironclaw.domain.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp
    from tests.support.authorisation import Caller

    from ironclaw.core.ids import ChatId, SessionId
    from ironclaw.domain.changes.base import Spec
    from ironclaw.domain.model import Agent
    from ironclaw.domain.tokens import TokenStore
    from ironclaw.services.gateway.port import ChangeView
    from ironclaw.services.house import House

ASKER: Final = PrincipalId("api:asker")
OWNER: Final = PrincipalId("api:root")
_FILTERED: Final = {
    "GET /v1/tasks",
    "GET /v1/usage",
    "GET /v1/changes",
    "GET /v1/grants",
    "GET /v1/sessions",
    "GET /v1/files",
}
"""Lists that are asked for one agent."""


class Give(Protocol):
    """Lets somebody hold a role."""

    def __call__(
        self, principal: PrincipalId, role: Role, agent: Agent | None, /
    ) -> Awaitable[object]:
        """Give it."""
        ...


class Talk(NamedTuple):
    """A conversation of somebody else."""

    chat: ChatId
    session: SessionId


class World(NamedTuple):
    """An application and what is behind it."""

    app: ASGIApp
    house: House
    tokens: TokenStore
    give: Give
    prove: Callable[[SessionId], Awaitable[None]]
    """Keeps a receipt of a session."""
    wonder: Callable[[SessionId], Awaitable[str]]
    """Lets the newest turn of a session ask its people something; gives the question's id."""
    own: Agent
    """The agent that roles are held for."""
    other: Agent
    new_name: Callable[[], str]

    async def people(self) -> None:
        """Let those hold their roles that the rows need beside the caller."""
        await self.give(ASKER, Role.OPERATOR, None)
        await self.give(OWNER, Role.OWNER, None)

    async def secret(self, caller: Caller) -> str | None:
        """A token of somebody new, who holds what the caller holds."""
        if caller.scope is None:
            return None
        name = self.new_name()
        minted = await self.tokens.mint(name=name, scopes=[caller.scope], ttl_s=None)
        if caller.role is not None:
            agent = None if caller.is_global else self.own
            await self.give(minted.token.principal, caller.role, agent)
        return minted.secret

    async def call(self, endpoint: str, caller: Caller) -> Answer:
        """Ask an endpoint for something that is there and can be had."""
        agent = self.other if caller.is_foreign else self.own
        secret = await self.secret(caller)
        method, _, path = endpoint.partition(" ")
        for name, value in (await self._places(path, agent)).items():
            path = path.replace(f"{{{name}}}", value)
        if endpoint in _FILTERED:
            path += f"?agent={agent.name}"
        if endpoint == "GET /v1/why":
            path += f"?id={agent.id}"
        body = await self._body(endpoint, path, agent)
        return await ask(self.app, method, path, secret=secret, body=body)

    async def places(self) -> dict[str, str]:
        """What there is of the own agent, by the names of path parameters."""
        names = "{chat} {session} {file} {question} {change} {grant} {token} {topic}"
        return await self._places(names, self.own)

    async def _places(self, path: str, agent: Agent) -> dict[str, str]:
        found = {"agent": agent.name, "name": "main", "number": "1"}
        found |= {"skill": "birds", "template": "watch"}
        if "{topic}" in path:
            await self.house.memories.edit(agent.name, "birds", b"Ada is a heron.")
            found["topic"] = "birds"
        if "/tasks/{name}/" in path:
            found["name"] = await self._task(agent)
        if "{chat}" in path or "{session}" in path:
            talk = await self.talk(agent, ASKER)
            await self.prove(talk.session)
            found |= {"chat": talk.chat, "session": talk.session}
        if "{file}" in path:
            talk = await self.talk(agent, ASKER, Upload(name="a.txt", data=b"hello"))
            said = await self.house.transcript(talk.session, limit=20)
            found["file"] = next(one for one in reversed(said) if one.files).files[0].id
        if "{question}" in path:
            found["question"] = await self.wonder((await self.talk(agent, ASKER)).session)
        if "{change}" in path:
            found["change"] = (await self.pending(agent)).row.change.id
        if "{grant}" in path:
            grant = (await self.approved(agent)).row.grant
            assert grant is not None
            found["grant"] = grant.id
        if "{token}" in path:
            minted = await self.tokens.mint(name=self.new_name(), scopes=[Scope.READ], ttl_s=None)
            found["token"] = minted.token.id
        return found

    async def _task(self, agent: Agent) -> str:
        """The name of a task that the agent was given just now."""
        chat = await self.house.chat_for(agent.name, "main", principal=ASKER)
        spec = AddTask(
            agent=agent.id,
            name=self.new_name(),
            channel=chat.channel,
            platform_id=chat.platform_id,
            prompt="Say hello.",
            cron="0 7 * * *",
        )
        await self._approve(await self._asked(spec))
        return spec.name

    async def _body(self, endpoint: str, path: str, agent: Agent) -> Any:
        if endpoint == "POST /v1/changes/{change}/decision":
            card = (await self.house.gateway.changes(actor=_actor(OWNER)))[0].card
            assert card.change in path
            seen = {"hash": card.hash, "state": card.state, "card": card.version}
            return {"approve": True} | seen
        spec = {"kind": "persona", "agent": agent.name, "persona": self.new_name()}
        bodies: dict[str, Any] = {
            "POST /v1/agents/{agent}/chats/{name}/messages": {"text": "hello"},
            "POST /v1/chat/completions": {
                "model": agent.name,
                "messages": [{"role": "user", "content": "hello"}],
                "stream": True,
            },
            "POST /v1/responses": {"model": agent.name, "input": "hello", "stream": True},
            "PUT /v1/agents/{agent}/memory/{topic}": {"text": "Ada is a crane."},
            "POST /v1/agents/{agent}/memory/purge": {"session": "ses_gone"},
            "POST /v1/questions/{question}/answer": {"text": "yes"},
            "POST /v1/changes": {"change": spec},
            "POST /v1/changes/preview": {"change": spec},
            "POST /v1/grants/{grant}/revoke": {},
            "POST /v1/tokens": {"name": self.new_name(), "scopes": ["read"]},
            "POST /v1/audit/rotate": {"through": 1, "digest": f"sha256:{'0' * 64}"},
        }
        return bodies.get(endpoint)

    async def talk(self, agent: Agent, principal: PrincipalId, *files: Upload) -> Talk:
        """A conversation that somebody has with an agent."""
        chat = await self.house.chat_for(agent.name, "main", principal=principal)
        event = Event(
            channel=chat.channel,
            platform_id=chat.platform_id,
            handle=principal.partition(":")[2],
            sender="somebody",
            text="hello",
            external_id=new_id("ext"),
            mentioned=True,
            files=files,
        )
        (routed,) = await self.house.hear(event)
        assert routed.session is not None, routed
        return Talk(chat.id, routed.session)

    async def pending(self, agent: Agent) -> ChangeView:
        """A change that waits for somebody; each is of another asker, of whom few may wait."""
        return await self._asked(SetPersona(agent=agent.id, persona=self.new_name()))

    async def _asked(self, spec: Spec) -> ChangeView:
        asker = PrincipalId(f"api:{self.new_name()}")
        await self.give(asker, Role.OPERATOR, None)
        return await self.house.gateway.submit(
            spec, asker=Asker(principal=asker), actor=_actor(asker), reason=""
        )

    async def approved(self, agent: Agent) -> ChangeView:
        """A change that was approved."""
        return await self._approve(await self.pending(agent))

    async def _approve(self, view: ChangeView) -> ChangeView:
        card = view.card
        return await self.house.gateway.decide(
            view.row.change.id,
            actor=_actor(OWNER),
            approve=True,
            seen=Seen(card.hash, card.state, card.version),
        )


def _actor(principal: PrincipalId) -> Actor:
    return Actor(principal, proof=Proof.TOKEN)
