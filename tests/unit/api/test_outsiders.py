"""What somebody could see or do a moment ago, and not any more: over the real house."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.asgi import ask
from tests.support.authorisation import Caller
from tests.support.authorised import ASKER

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


async def names(world: World, secret: str | None, query: str) -> list[dict[str, Any]]:
    answer = await ask(world.app, "GET", f"/v1/files{query}", secret=secret)
    assert answer.status == 200, answer.raw
    files: list[dict[str, Any]] = answer.body["files"]
    return files


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


async def test_files_are_listed_for_whoever_may_read_the_transcript_and_for_nobody_else(
    world: World,
):
    await world.people()
    own = await world.talk(world.own, ASKER, Upload(name="own\u202e.txt", data=b"hello"))
    other = await world.talk(world.other, ASKER, Upload(name="other.txt", data=b"hello"))
    viewer = await world.secret(Caller("viewer", Role.VIEWER))
    talker, _ = await member(world)
    (shown,) = await names(world, viewer, "")
    assert (shown["name"], shown["media_type"], shown["size"]) == ("own.txt", "text/plain", 5)
    assert (shown["is_out"], shown["sender"]) == (False, "somebody")
    assert (shown["session"], shown["agent_name"]) == (own.session, world.own.name)
    assert shown["id"] == await file_of(world, own)
    for query in (f"?session={own.session}", f"?agent={world.own.name}"):
        assert await names(world, viewer, query) == [shown]
    assert await names(world, viewer, f"?agent={world.own.name}&session={own.session}") == [shown]

    for secret, session in ((viewer, own), (viewer, other), (talker, own), (talker, other)):
        said = await ask(
            world.app, "GET", f"/v1/sessions/{session.session}/transcript", secret=secret
        )
        for query in (f"?session={session.session}", f"?limit=5&session={session.session}"):
            listed = await ask(world.app, "GET", f"/v1/files{query}", secret=secret)
            assert (said.status == 200) == (listed.status == 200)
            assert b"other" not in listed.raw
    for query in ("", f"?agent={world.own.name}", f"?session={own.session}"):
        refused = await ask(world.app, "GET", f"/v1/files{query}", secret=talker)
        assert (refused.status, refused.body["code"]) == (403, "forbidden")
    for limit in (0, 1001):
        wrong = await ask(world.app, "GET", f"/v1/files?limit={limit}", secret=viewer)
        assert wrong.status == 400


async def test_files_of_a_forgotten_conversation_are_not_listed(world: World):
    (_, ann), (_, bea) = await member(world), await member(world)
    first = await world.talk(world.own, ann, Upload(name="a.txt", data=b"a"))
    second = await world.talk(world.own, bea, Upload(name="b.txt", data=b"b"))
    assert second.session != first.session
    viewer = await world.secret(Caller("viewer", Role.VIEWER))
    assert [one["name"] for one in await names(world, viewer, "")] == ["b.txt", "a.txt"]
    assert [one["name"] for one in await names(world, viewer, "?limit=1")] == ["b.txt"]
    await world.house._registry._store.write(lambda db: forget(db, second.session))
    assert [one["name"] for one in await names(world, viewer, "")] == ["a.txt"]
    assert await names(world, viewer, f"?session={second.session}") == []


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
