"""What somebody could see or do a moment ago, and not any more: over the real house."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.asgi import ask
from tests.support.authorisation import Caller

from ironclaw.domain.model import Role, Upload
from ironclaw.domain.tokens import Scope
from ironclaw.store.forgetting import forget

if TYPE_CHECKING:
    from tests.support.authorised import Talk, World

    from ironclaw.core.ids import PrincipalId

HTML = b"<svg onload='alert(1)'/>"


async def member(world: World) -> tuple[str, PrincipalId]:
    secret = await world.secret(Caller("member", Role.MEMBER))
    assert secret is not None
    token = world.tokens.find(secret)
    assert token is not None
    return secret, token.principal


async def leaves(world: World, principal: PrincipalId) -> None:
    await world.house._registry.take(principal, Role.MEMBER, world.own.id)


async def file_of(world: World, talk: Talk) -> str:
    said = await world.house.transcript(talk.session, limit=20)
    return next(one for one in reversed(said) if one.files).files[0].id


async def test_a_file_is_for_those_of_its_chat_as_long_as_they_are_let_in(world: World):
    (mine, ann), (theirs, _) = await member(world), await member(world)
    talk = await world.talk(world.own, ann, Upload(name="../a\r\n\u202e.svg", data=HTML))
    url = f"/v1/files/{await file_of(world, talk)}"
    got = await ask(world.app, "GET", url, secret=mine)
    assert (got.status, got.raw) == (200, HTML)
    assert (await ask(world.app, "GET", url, secret=theirs)).status == 404
    minted = await world.tokens.mint(name="else", scopes=[Scope.ADMIN], ttl_s=None)
    await world.give(minted.token.principal, Role.ADMIN, world.other)
    assert (await ask(world.app, "GET", url, secret=minted.secret)).status == 404
    assert (await ask(world.app, "GET", url.replace("fil_", "fil_a"), secret=mine)).status == 404
    await leaves(world, ann)
    assert (await ask(world.app, "GET", url, secret=mine)).status in {403, 404}


async def test_nothing_of_a_forgotten_conversation_can_be_had_or_answered(world: World):
    secret, ann = await member(world)
    talk = await world.talk(world.own, ann, Upload(name="a.txt", data=b"hello"))
    file = f"/v1/files/{await file_of(world, talk)}"
    answer = f"/v1/questions/{await world.wonder(talk.session)}/answer"
    await world.house._registry._store.write(lambda db: forget(db, talk.session))
    assert (await ask(world.app, "GET", file, secret=secret)).status == 404
    late = await ask(world.app, "POST", answer, secret=secret, body={"text": "yes"})
    assert (late.status, late.body["code"]) == (404, "not_found")
    listed = await ask(world.app, "GET", "/v1/questions", secret=secret)
    assert listed.body == {"questions": []}


async def test_a_question_is_answered_by_nobody_who_has_left(world: World):
    secret, ann = await member(world)
    talk = await world.talk(world.own, ann)
    question = await world.wonder(talk.session)
    await leaves(world, ann)
    url = f"/v1/questions/{question}/answer"
    late = await ask(world.app, "POST", url, secret=secret, body={"text": "yes"})
    assert late.status in {403, 404}
    await world.give(ann, Role.MEMBER, world.own)
    for text in ("a\0b", "x" * 8001, ""):
        body = {"text": text}
        assert (await ask(world.app, "POST", url, secret=secret, body=body)).status == 400
    done = await ask(world.app, "POST", url, secret=secret, body={"text": "yes"})
    assert done.status == 200, done.raw
    again = await ask(world.app, "POST", url, secret=secret, body={"text": "yes"})
    assert (again.status, again.body["code"]) == (409, "conflict")


async def test_a_wrong_id_is_answered_with_where_its_kind_is_found(world: World) -> None:
    secret, _ = await member(world)
    for method, url, where in (
        ("GET", "/v1/sessions/ses_none", "ironclaw session list"),
        ("POST", "/v1/questions/qst_none/answer", "ironclaw question list"),
        ("GET", "/v1/files/fil_none", "ironclaw chat AGENT"),
        ("GET", "/v1/agents/none", "ironclaw agent list"),
    ):
        refused = await ask(world.app, method, url, secret=secret)
        assert refused.status == 404
        assert f"`{where}" in refused.body["hint"]
