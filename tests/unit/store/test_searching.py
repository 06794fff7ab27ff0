"""Searching conversations: one place's words, ranked, within bounds, and nobody else's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.unit.store.test_ledger import commit, end

from ironclaw.core.clock import ManualClock
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import SessionId, new_id
from ironclaw.domain.acting import act_as
from ironclaw.domain.audit import By, Via
from ironclaw.domain.model import Partition
from ironclaw.domain.routing import Seat
from ironclaw.services import searching
from ironclaw.services.searching import Searching
from ironclaw.store import searching as rows
from ironclaw.store.searching import Passages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.domain.searching import Searched
    from ironclaw.testing.fakes_store import Conversation, CoreStore


def finder(core: CoreStore) -> Searching:
    return Searching(Passages(core.store, core.custodian), core.clock)


async def say(talk: Conversation, *texts: str, first: int = 1) -> None:
    clock = talk.core.clock
    assert isinstance(clock, ManualClock)
    for number, text in enumerate(texts, start=first):
        clock.advance(60)
        heard = await talk.hear(text)
        await commit(talk, number, end(heard.message.id, f"noted: {text}"))


async def again(talk: Conversation, *, thread: str | None = None) -> Conversation:
    """A session more of the same agent, as `/new` begins one."""
    session = SessionId(new_id("ses"))
    await talk.core.custodian.create(session)
    await talk.core.registry.unseat(talk.session)
    seat = Seat(talk.agent.id, Partition.SHARED, talk.chat.id, thread)
    await talk.core.registry.add_session(session, seat)
    await talk.core.ledger.begin_epoch(session, workspace="w")
    return talk._replace(session=session)


async def found(talk: Conversation, query: str, **more: int) -> list[str]:
    done = await finder(talk.core).search(talk.session, query, **more)
    return [one.excerpt for one in done.found]


async def test_words_of_people_and_of_the_agent_are_found_the_newer_first(talk: Conversation):
    await say(talk, "the garage code is 42", "what a day", "the garage code is 43")
    assert await found(talk, "garage CODE") == [
        "noted: the garage code is 43",
        "the garage code is 43",
        "noted: the garage code is 42",
        "the garage code is 42",
    ]
    done = await finder(talk.core).search(talk.session, "garage", limit=1)
    assert done.whole
    (one,) = done.found
    assert (one.kind, one.sender, one.session) == ("reply", "helper", talk.session)


async def test_former_conversations_of_the_place_are_looked_through(talk: Conversation):
    await say(talk, "the garage code is 42")
    later = await again(talk)
    await say(later, "hello")
    assert await found(later, "garage") == ["noted: the garage code is 42", "the garage code is 42"]


async def test_nobody_elses_words_are(talk: Conversation, core: CoreStore):
    other = await core.begin(name="other", place="elsewhere")
    await core.ledger.begin_epoch(other.session, workspace="w")
    await say(other, "the garage code is 99")
    await say(await again(talk, thread="t1"), "the garage code is 98")
    mine = await again(talk)
    await say(mine, "hello")
    assert await found(mine, "garage") == []


async def test_what_was_forgotten_or_quarantined_is_not_found(talk: Conversation):
    await say(talk, "the garage code is 42")
    second = await again(talk)
    await say(second, "the garage code is 43")
    third = await again(second)
    await talk.core.custodian.forget(talk.session)
    await talk.core.ledger.quarantine(second.session, reason="gap: test")
    assert await found(third, "garage") == []


async def test_what_waits_and_what_the_host_said_is_not_found(talk: Conversation):
    await talk.hear("garage, pending")
    await talk.hear("garage, context", engage=False)
    await talk.core.ledger.inform(talk.session, text="garage, of the host", key="k")
    assert await found(talk, "garage") == []


async def test_many_pages_are_looked_through(talk: Conversation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows, "PAGE_ROWS", 3)
    await say(talk, "the garage code is 42", *(f"day {number}" for number in range(10)))
    assert await found(talk, "garage code 42", limit=1) == ["noted: the garage code is 42"]
    monkeypatch.setattr(rows, "PAGE_ROWS", 400)
    monkeypatch.setattr(rows, "PAGE_BYTES", 200)
    assert await found(talk, "garage code 42", limit=1) == ["noted: the garage code is 42"]


async def test_one_search_has_an_end_and_the_next_goes_on_behind_it(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rows, "PAGE_ROWS", 4)
    monkeypatch.setattr(searching, "MAX_ROWS", 4)
    await say(talk, "the garage code is 42", *(f"day {number}" for number in range(6)))
    before, seen = None, set()
    for _ in range(12):
        done = await finder(talk.core).search(talk.session, "garage", before_ms=before)
        seen |= {one.excerpt for one in done.found}
        if done.whole:
            break
        before = done.back_to_ms + 1000
    assert done.whole
    assert len(seen) == 2


async def test_nobody_keeps_the_others_from_searching(talk: Conversation):
    await say(talk, "the garage code is 42")
    search = finder(talk.core)

    async def ask(name: str) -> Searched:
        with act_as(By(f"api:{name}", Via.API)):
            return await search.search(talk.session, "garage")

    done = await asyncio.gather(
        *[ask("eve") for _ in range(20)], ask("ann"), search.search(talk.session, "garage"),
        return_exceptions=True,
    )  # fmt: skip
    assert [isinstance(one, PolicyError) for one in done] == [False, *[True] * 19, False, False]
    assert (await ask("eve")).found


@pytest.mark.parametrize("query", ["", " ?! ", "x" * 501])
async def test_a_query_has_words(talk: Conversation, query: str):
    with pytest.raises(UserError):
        await finder(talk.core).search(talk.session, query)


async def test_another_ranking_can_be_put_in(talk: Conversation):
    class ByLength:
        async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
            del query
            return [float(len(text)) for text in texts]

    await say(talk, "short", "a longer one")
    search = Searching(
        Passages(talk.core.store, talk.core.custodian), talk.core.clock, ranking=ByLength()
    )
    done = await search.search(talk.session, "anything", limit=1)
    assert done.found[0].excerpt == "noted: a longer one"
