"""The whole matrix of `tests.support.authorisation`, and what is one's own beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.asgi import ask
from tests.support.authorisation import MATRIX, OK, Caller, outcome
from tests.support.authorised import ASKER

from ironclaw.api.access import actor_of, admit
from ironclaw.api.app import ENDPOINTS
from ironclaw.api.token_routes import MAX_OWN
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.model import Role
from ironclaw.domain.rights import Right
from ironclaw.domain.tokens import Scope

if TYPE_CHECKING:
    from tests.support.authorised import World

OPERATOR = Caller("operator", Role.OPERATOR)
MEMBER = Caller("member", Role.MEMBER)
ADMIN = Caller("admin", Role.ADMIN, is_global=True)
VIEWER = Caller("viewer", Role.VIEWER)


def test_the_matrix_names_every_endpoint() -> None:
    assert set(MATRIX) == {f"{row.method} {row.path}" for row in ENDPOINTS}


def test_every_endpoint_asks_for_a_right_or_says_why_not() -> None:
    for row in ENDPOINTS:
        assert (row.right is None) == (row.about in {None, "own"}), row.path


@pytest.mark.parametrize("endpoint", MATRIX)
async def test_everybody_gets_exactly_what_the_matrix_says(world: World, endpoint: str) -> None:
    await world.people()
    expected = MATRIX[endpoint].expected
    found, told = {}, {}
    for caller in expected:
        answer = await world.call(endpoint, caller)
        assert answer.status < 500, answer
        found[caller.name] = outcome(answer.status)
        told[caller.name] = answer.raw[:300]

    assert found == {caller.name: sign for caller, sign in expected.items()}, told


GUARDED = [
    f"{row.method} {row.path}" for row in ENDPOINTS if row.about in {"house", "agent", "session"}
]


@pytest.mark.parametrize("endpoint", GUARDED)
async def test_the_matrix_notices_a_door_that_asks_for_nothing(
    world: World, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weakened twin: without the check of the door the row is another."""

    async def admit(*_: object) -> None:
        """Let everybody in who has a token."""

    monkeypatch.setattr("ironclaw.api.gate.admit", admit)
    await world.people()
    stranger = Caller("none")
    answer = await world.call(endpoint, stranger)

    assert MATRIX[endpoint].expected[stranger] != outcome(answer.status) == OK


@pytest.mark.parametrize(
    ("method", "foreign", "absent"),
    [
        ("GET", "/v1/agents/{other}", "/v1/agents/{absent}"),
        ("GET", "/v1/sessions?agent={other}", "/v1/sessions?agent={absent}"),
        ("GET", "/v1/sessions/{session}", "/v1/sessions/{absent}"),
        ("GET", "/v1/files?agent={other}", "/v1/files?agent={absent}"),
        ("GET", "/v1/files?session={session}", "/v1/files?session={absent}"),
        ("GET", "/v1/chats/{chat}/events", "/v1/chats/{absent}/events"),
        ("GET", "/v1/changes/{change}", "/v1/changes/{absent}"),
        ("POST", "/v1/changes/{change}/withdraw", "/v1/changes/{absent}/withdraw"),
        ("POST", "/v1/grants/{grant}/revoke", "/v1/grants/{absent}/revoke"),
    ],
)
async def test_what_is_not_theirs_is_told_of_as_what_is_not(
    world: World, method: str, foreign: str, absent: str
) -> None:
    await world.people()
    talk = await world.talk(world.other, ASKER)
    approved = await world.approved(world.other)
    assert approved.row.grant is not None
    names = {
        "other": world.other.name,
        "session": talk.session,
        "chat": talk.chat,
        "change": approved.row.change.id,
        "grant": approved.row.grant.id,
    }
    (used,) = [value for name, value in names.items() if f"{{{name}}}" in foreign]
    missing = used[:-1] + ("a" if used[-1] != "a" else "b")
    secret = await world.secret(Caller("admin", Role.ADMIN))
    body: object = {} if "grants" in foreign else None
    there = await ask(world.app, method, foreign.format(**names), secret=secret, body=body)
    not_there = await ask(
        world.app, method, absent.format(absent=missing), secret=secret, body=body
    )

    assert (there.status, not_there.status) == (404, 404)
    for field in ("code", "hint", "title"):
        assert there.body[field] == not_there.body[field]
    assert there.body["detail"].replace(used, "X") == not_there.body["detail"].replace(missing, "X")


async def test_a_member_follows_their_own_chat_and_no_other(world: World) -> None:
    await world.people()
    member = await world.secret(MEMBER)
    sent = await ask(
        world.app,
        "POST",
        f"/v1/agents/{world.own.name}/chats/main/messages",
        secret=member,
        body={"text": "hello"},
    )
    theirs = await world.talk(world.own, ASKER)
    own = await ask(world.app, "GET", f"/v1/chats/{sent.body['chat']}/events", secret=member)
    other = await ask(world.app, "GET", f"/v1/chats/{theirs.chat}/events", secret=member)

    assert (sent.status, own.status, other.status) == (202, 200, 404)


async def test_lists_show_what_is_of_ones_own_agents(world: World) -> None:
    await world.people()
    for agent in (world.own, world.other):
        await world.talk(agent, ASKER)
        await world.approved(agent)
        await world.pending(agent)
    secret = await world.secret(VIEWER)
    own, other = world.own.id.encode(), world.other.id.encode()
    for path in ("agents", "standings", "sessions", "changes?state=all", "grants?state=all"):
        answer = await ask(world.app, "GET", f"/v1/{path}", secret=secret)
        assert answer.status == 200
        assert own in answer.raw, path
        assert other not in answer.raw, path


async def test_everybody_is_told_who_they_are_and_what_they_may(world: World) -> None:
    member = await ask(world.app, "GET", "/v1/me", secret=await world.secret(MEMBER))
    admin = await ask(world.app, "GET", "/v1/me", secret=await world.secret(ADMIN))

    assert member.body["rights"] == []
    assert member.body["agents"] == {world.own.name: ["talk"]}
    assert member.body["principal"] == member.body["person"] == f"api:{member.body['token']}"
    assert "administer" in admin.body["rights"]
    assert set(admin.body["agents"]) == {world.own.name, world.other.name}


async def test_who_is_refused_learns_which_role_or_scope_it_takes(world: World) -> None:
    path = f"/v1/agents/{world.own.name}"
    role = await ask(world.app, "GET", path, secret=await world.secret(MEMBER))
    caller = Caller("owner", Role.OWNER, is_global=True, scope=Scope.CHAT)
    scope = await ask(world.app, "GET", path, secret=await world.secret(caller))

    assert "viewer" in role.body["hint"]
    assert "scope admin or operate or approve or read" in scope.body["detail"]


# --- tokens ---------------------------------------------------------------------------------------


async def test_a_further_token_of_ones_own_is_the_same_principal(world: World) -> None:
    secret = await world.secret(OPERATOR)
    me = (await ask(world.app, "GET", "/v1/me", secret=secret)).body["principal"]
    minted = await _mint(world, secret, principal=me, scopes=["chat", "read"])
    again = await ask(world.app, "GET", "/v1/me", secret=minted.body["secret"])
    listed = await ask(world.app, "GET", "/v1/tokens", secret=secret)
    ended = await ask(
        world.app, "DELETE", f"/v1/tokens/{minted.body['token']['id']}", secret=secret
    )
    after = await ask(world.app, "GET", "/v1/me", secret=minted.body["secret"])

    assert again.body["principal"] == me
    assert again.body["agents"] == {world.own.name: ["talk", "read"]}
    assert {one["principal"] for one in listed.body["tokens"]} == {me}
    assert len(listed.body["tokens"]) == 2
    assert (ended.status, after.status) == (200, 401)


@pytest.mark.parametrize("asked", [["admin"], ["approve"], ["read", "operate"]])
async def test_a_token_mints_none_that_lets_more_through(world: World, asked: list[str]) -> None:
    caller = Caller("owner", Role.OWNER, is_global=True, scope=Scope.READ)
    secret = await world.secret(caller)
    me = (await ask(world.app, "GET", "/v1/me", secret=secret)).body["principal"]

    answer = await _mint(world, secret, principal=me, scopes=asked)

    assert (answer.status, answer.body["code"]) == (403, "forbidden")


@pytest.mark.parametrize("ttl_s", [None, 61, 10**6])
async def test_a_token_mints_none_that_outlives_it(world: World, ttl_s: int | None) -> None:
    minted = await world.tokens.mint(name="short", scopes=[Scope.READ], ttl_s=60)
    given: dict[str, Any] = {"principal": "api:short", "scopes": ["read"]}

    longer = await _mint(world, minted.secret, **given, ttl_s=ttl_s)
    shorter = await _mint(world, minted.secret, **given, ttl_s=30)

    assert (longer.status, shorter.status) == (403, 201)


@pytest.mark.parametrize("principal", ["api:root", "api:asker", "telegram:ann", "api:nobody-yet"])
async def test_nobody_mints_in_somebody_elses_name(world: World, principal: str) -> None:
    await world.people()
    secret = await world.secret(Caller("owner", Role.OWNER, is_global=True))

    assert (await _mint(world, secret, principal=principal)).status == 403


async def test_no_fresh_token_takes_the_name_of_somebody_who_holds_a_role(world: World) -> None:
    await world.people()
    await world.give(PrincipalId("api:heir"), Role.OWNER, None)
    secret = await world.secret(ADMIN)

    assert (await _mint(world, secret, name="heir")).status == 403
    assert (await _mint(world, secret, name="newcomer")).status == 201
    assert (await _mint(world, secret, name="newcomer")).status == 409


async def test_a_token_named_as_anothers_id_is_no_way_to_end_that_one(world: World) -> None:
    victim = await world.tokens.mint(name="victim", scopes=[Scope.READ], ttl_s=None)
    secret = await world.secret(OPERATOR)
    me = (await ask(world.app, "GET", "/v1/me", secret=secret)).body["principal"]
    named = await _mint(world, secret, name=victim.token.id, principal=me)
    ended = await ask(world.app, "DELETE", f"/v1/tokens/{victim.token.id}", secret=secret)

    assert named.status == 201
    assert ended.body["id"] == named.body["token"]["id"]
    assert world.tokens.find(victim.secret) is not None


async def test_nobody_uses_up_the_tokens_of_all(world: World) -> None:
    secret = await world.secret(MEMBER)
    me = (await ask(world.app, "GET", "/v1/me", secret=secret)).body["principal"]
    for number in range(MAX_OWN - 1):
        await world.tokens.mint(name=f"m{number}", scopes=[Scope.CHAT], ttl_s=None, principal=me)

    answer = await _mint(world, secret, principal=me, scopes=["chat"])

    assert (answer.status, answer.body["code"]) == (429, "rate_limited")


async def test_looking_up_a_right_reads_nothing_from_the_store(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every message asks for one."""
    minted = await world.tokens.mint(name="ann", scopes=[Scope.CHAT], ttl_s=None)
    await world.give(minted.token.principal, Role.MEMBER, world.own)
    actor = actor_of(minted.token)
    path = {"agent": world.own.name}.__getitem__
    await admit(world.house, actor, "agent", Right.TALK, path)

    async def read(*_: object) -> None:
        raise AssertionError("the store is read")

    monkeypatch.setattr("ironclaw.store.engine.Store.read", read)
    await admit(world.house, actor, "agent", Right.TALK, path)


async def _mint(world: World, secret: str | None, **fields: Any) -> Any:
    body = {"name": world.new_name(), "scopes": ["read"]} | fields
    return await ask(world.app, "POST", "/v1/tokens", secret=secret, body=body)
