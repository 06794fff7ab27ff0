"""Changes over HTTP: asked for, shown, decided, taken back, followed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.asgi import Answer, Listener, ask
from tests.support.authorisation import Caller

from ironclaw.core.tasks import Tasks
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.authorised import World

OWNER = Caller("owner", Role.OWNER, is_global=True)
OPERATOR = Caller("operator", Role.OPERATOR)
APPROVER = Caller("approver", Role.APPROVER)
PERSONA = {"kind": "persona", "agent": "helper", "persona": "Be brief."}


class Person:
    """Somebody with a token."""

    def __init__(self, world: World, secret: str | None) -> None:
        self.world = world
        self.secret = secret

    async def get(self, target: str) -> Any:
        """What is there; fails when there is nothing."""
        answer = await ask(self.world.app, "GET", target, secret=self.secret)
        assert answer.status == 200, answer
        return answer.body

    async def post(self, target: str, body: object = None) -> Answer:
        """Ask for something."""
        return await ask(self.world.app, "POST", target, secret=self.secret, body=body)

    async def request(self, **fields: Any) -> Any:
        """Ask for a change."""
        answer = await self.post("/v1/changes", {"change": PERSONA} | fields)
        assert answer.status == 201, answer
        return answer.body

    async def decide(self, view: Any, **fields: Any) -> Answer:
        """Decide on exactly what a view shows."""
        card = view["card"]
        seen = {"hash": card["hash"], "state": card["state"], "card": card["version"]}
        target = f"/v1/changes/{view['row']['change']['id']}/decision"
        return await self.post(target, {"approve": True} | seen | fields)


@pytest.fixture
async def people(world: World) -> tuple[Person, Person]:
    """One who asks and one who decides."""
    return (
        Person(world, await world.secret(OPERATOR)),
        Person(world, await world.secret(APPROVER)),
    )


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks("test", on_failure=lambda _name, _error: None) as owner:
        yield owner


async def test_a_change_is_asked_for_by_name_shown_approved_and_in_force(
    world: World, people: tuple[Person, Person]
) -> None:
    asker, approver = people
    asked = await asker.request(reason="It talks too much.")
    change = asked["row"]["change"]
    shown = await approver.get(f"/v1/changes/{change['id']}")
    done = await approver.decide(shown, words="Indeed.")
    agent = await asker.get("/v1/agents/helper")

    assert change["spec"]["agent"] == world.own.id
    assert change["asker"]["principal"] == (await asker.get("/v1/me"))["principal"]
    assert asked["may_decide"] is False
    assert shown["may_decide"] is True
    assert {button["action"] for button in shown["buttons"]} == {"approve", "deny", "withdraw"}
    assert shown["link"] == f"/changes/{change['id']}"
    assert done.body["row"]["status"] == "done"
    assert agent["persona"] == "Be brief."


async def test_nobody_approves_what_they_asked_for_themselves(world: World) -> None:
    owner = Person(world, await world.secret(OWNER))

    answer = await owner.decide(await owner.request())

    assert (answer.status, answer.body["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "field", [{"hash": f"sha256:{'0' * 64}"}, {"state": f"sha256:{'0' * 64}"}, {"card": 0}]
)
async def test_only_what_was_shown_is_approved(
    people: tuple[Person, Person], field: dict[str, Any]
) -> None:
    asker, approver = people

    answer = await approver.decide(await asker.request(), **field)

    assert (answer.status, answer.body["code"]) == (409, "conflict")


async def test_a_denial_is_remembered_and_a_person_may_ask_despite_it(
    people: tuple[Person, Person],
) -> None:
    asker, approver = people
    denied = await approver.decide(await asker.request(), approve=False, words="No.")
    again = await asker.post("/v1/changes", {"change": PERSONA})
    change = denied.body["row"]["change"]["id"]
    despite = await asker.post("/v1/changes", {"change": PERSONA, "despite": change})

    assert denied.body["row"]["status"] == "denied"
    assert (again.status, again.body["code"]) == (403, "denied")
    assert change in again.body["detail"] + again.body["hint"]
    assert despite.status == 201


async def test_a_preview_shows_the_card_and_keeps_nothing(people: tuple[Person, Person]) -> None:
    asker, _ = people
    card = await asker.post("/v1/changes/preview", {"change": PERSONA, "reason": "Why not."})

    assert card.status == 200
    assert card.body["title"]
    assert [line["text"] for line in card.body["fields"] if "Be brief." in line["text"]]
    assert (await asker.get("/v1/changes?state=all"))["changes"] == []


async def test_its_asker_takes_a_request_back(people: tuple[Person, Person]) -> None:
    asker, approver = people
    change = (await asker.request())["row"]["change"]["id"]
    taken = await asker.post(f"/v1/changes/{change}/withdraw")

    assert taken.body["row"]["status"] == "withdrawn"
    assert (await approver.get("/v1/changes"))["changes"] == []
    assert len((await approver.get("/v1/changes?state=all"))["changes"]) == 1


async def test_a_grant_is_listed_and_revoked(people: tuple[Person, Person]) -> None:
    asker, approver = people
    await approver.decide(await asker.request(grant_s=3600))
    (view,) = (await asker.get("/v1/grants"))["grants"]
    revoked = await approver.post(f"/v1/grants/{view['grant']['id']}/revoke", {"words": "Enough."})
    agent = await asker.get("/v1/agents/helper")

    assert view["agent_name"] == "helper"
    assert revoked.body["grant"]["ended_why"] == "revoked"
    assert agent["persona"] == ""
    assert (await asker.get("/v1/grants"))["grants"] == []
    assert len((await asker.get("/v1/grants?state=all"))["grants"]) == 1


async def test_people_of_an_agent_end_the_way_of_another_one_to_it(
    world: World, people: tuple[Person, Person]
) -> None:
    operator, approver = people
    first, second = [Person(world, await world.secret(OWNER)) for _ in "12"]
    way = {"agent": "other", "name": "secret", "channel": "agent", "platform_id": "helper"}
    await second.decide(await first.request(change={"kind": "destination.add"} | way))

    (view,) = (await approver.get("/v1/grants"))["grants"]
    url = f"/v1/grants/{view['grant']['id']}/revoke"
    assert (await approver.get("/v1/grants?agent=helper"))["grants"] == [view]
    assert view["title"] == "Let the agent other write to the agent helper"
    assert (await operator.get("/v1/grants"))["grants"] == []
    assert (await operator.post(url, {})).status == 403
    revoked = await approver.post(url, {})

    assert (revoked.status, revoked.body["grant"]["ended_why"]) == (200, "revoked")
    assert b"secret" not in revoked.raw
    assert (await first.get("/v1/agents/other"))["destinations"] == []
    assert (await approver.get("/v1/grants"))["grants"] == []


@pytest.mark.parametrize("spec", [{"kind": "nonsense"}, {}, {"kind": "tools\u202e"}])
async def test_a_kind_that_is_not_is_answered_with_those_that_are(
    people: tuple[Person, Person], spec: dict[str, str]
) -> None:
    answer = await people[0].post("/v1/changes", {"change": spec})

    assert (answer.status, answer.body["code"]) == (400, "invalid")
    assert all(kind in answer.body["detail"] for kind in SPECS)


@pytest.mark.parametrize(
    "spec",
    [
        PERSONA | {"sudo": True},
        PERSONA | {"persona": 7},
        PERSONA | {"persona": "x" * 70_000},
        {"kind": "persona", "agent": "helper"},
        [],
        None,
    ],
)
async def test_what_is_no_change_is_not_well_formed(
    people: tuple[Person, Person], spec: object
) -> None:
    answer = await people[0].post("/v1/changes", {"change": spec})

    assert (answer.status, answer.body["code"]) == (400, "invalid")


async def test_who_asks_is_the_token_and_not_what_a_client_writes(
    people: tuple[Person, Person],
) -> None:
    body = {"change": PERSONA, "asker": {"principal": "api:owner"}}

    assert (await people[0].post("/v1/changes", body)).status == 400


@pytest.mark.parametrize("query", ["state=maybe", "limit=0", "limit=1001", "agent=%00"])
async def test_odd_questions_about_changes_are_refused(
    people: tuple[Person, Person], query: str
) -> None:
    person = people[0]
    answer = await ask(person.world.app, "GET", f"/v1/changes?{query}", secret=person.secret)

    assert answer.status in {400, 404}


async def test_the_policy_is_shown(world: World) -> None:
    owner = Person(world, await world.secret(OWNER))

    assert (await owner.get("/v1/policy"))["solo"] is False


# --- following ------------------------------------------------------------------------------------


async def test_what_happens_to_changes_is_told_live_with_all_that_a_card_needs(
    world: World, people: tuple[Person, Person], tasks: Tasks
) -> None:
    asker, approver = people
    listener = Listener(world.app, "/v1/changes/events", secret=approver.secret)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    asked = await asker.request()
    await listener.until(b"event: requested")
    await approver.decide(asked)
    await listener.until(b"event: done")
    listener.left.set()
    await task

    requested = listener.events()[0]
    assert requested["kind"] == "requested"
    assert requested["change"] == asked["row"]["change"]["id"]
    view = requested["view"]
    assert view["may_decide"] is True
    assert view["buttons"]
    assert view["link"]
    assert view["row"]["change"]["expires_ms"] > view["row"]["change"]["created_ms"]
    ids = [event["id"] for event in listener.events()]
    assert ids == sorted(set(ids))


async def test_a_client_resumes_after_the_last_event_of_changes_that_it_saw(
    world: World, people: tuple[Person, Person], tasks: Tasks
) -> None:
    asker, approver = people
    await approver.decide(await asker.request())
    for after, first in (("0", "requested"), ("1", None)):
        headers = {"last-event-id": after}
        listener = Listener(
            world.app, "/v1/changes/events", secret=approver.secret, headers=headers
        )
        task = tasks.start(listener.run(), name="listen")
        await listener.until(b"event: done")
        listener.left.set()
        await task

        kinds = [event["kind"] for event in listener.events()]
        assert ("requested" in kinds) == (first == "requested")


async def test_nobody_hears_of_changes_that_they_may_not_look_at(
    world: World, tasks: Tasks
) -> None:
    await world.people()
    secret = await world.secret(Caller("admin", Role.ADMIN))
    listener = Listener(world.app, "/v1/changes/events", secret=secret)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    foreign = await world.pending(world.other)
    own = await world.pending(world.own)
    await listener.until(own.row.change.id.encode())
    listener.left.set()
    await task

    assert foreign.row.change.id.encode() not in listener.text


async def test_a_revoked_token_hears_of_no_more_changes(
    world: World, people: tuple[Person, Person], tasks: Tasks
) -> None:
    minted = await world.tokens.mint(
        name="ear",
        scopes=[Scope.READ],
        ttl_s=None,
        principal=(await people[1].get("/v1/me"))["principal"],
    )
    listener = Listener(world.app, "/v1/changes/events", secret=minted.secret)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    await world.tokens.revoke("ear")
    await people[0].request()
    async with asyncio.timeout(5):
        await task

    assert b"event: requested" not in listener.text
