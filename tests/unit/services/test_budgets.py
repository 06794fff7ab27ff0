"""Budgets: counted before a call is sent, corrected after it, kept, told to people."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from tests.support.spending import (
    ASK,
    BEGIN_DAY,
    SESSION,
    Agents,
    Counters,
    Prices,
    Provider,
    Raises,
    Told,
)

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.spending import DAY_MS, MOST_TOKENS, Amounts, Counted, Tier, Used
from ironclaw.models.breaker import Breaker, BreakerLimits
from ironclaw.models.provider import Registry
from ironclaw.models.service import ModelLimits, ModelService
from ironclaw.models.trouble import ModelTrouble
from ironclaw.models.words import FailureWords
from ironclaw.services import budgets, flights
from ironclaw.services.budgets import GUESSED_BYTES, TOKEN_BYTES, Budgets, Desk
from ironclaw.store.spent_rows import KEPT_DAYS, SpentRows
from ironclaw.testing.fakes_store import CoreStore, open_core_store
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, File, Said
from ironclaw_contract.rpc import Delta, Failed, Generate, Generated, ModelTell, Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SIZE = len(msgspec.msgpack.encode(ASK))
GUESS = -(-SIZE // TOKEN_BYTES)
RESERVED = -(-SIZE // GUESSED_BYTES)
ANSWER = Generated(7, (Answered("hi"),), Stop.END, input_tokens=100, output_tokens=20)
DEAR = (Tier(input=3000, output=15_000, cached=300, written=3750),)
QUICK = ModelLimits(attempts=3, first_delay_s=0.001, longest_delay_s=0.002)


class House(NamedTuple):
    core: CoreStore
    clock: ManualClock
    agents: Agents
    provider: Provider
    prices: Prices
    raises: Raises
    told: Told
    counters: Counters
    words: FailureWords
    book: SpentRows
    budgets: Budgets

    async def ask(self, request: Generate = ASK, session: SessionId = SESSION) -> list[ModelTell]:
        stream = self.budgets.generate(self.agents.now, session, request)
        return [event async for event in stream]

    async def used(self, session: SessionId = SESSION) -> Used:
        return await self.book.used(self.agents.now.id, self.clock.now_ms() // DAY_MS, session)

    async def day(self) -> Amounts:
        return (await self.used()).day


@contextlib.asynccontextmanager
async def opened(place: Path, clock: ManualClock, agents: Agents) -> AsyncIterator[House]:
    async with open_core_store(place, clock=clock) as core:
        provider, prices, raises = Provider([Delta(7, "hi"), ANSWER]), Prices(), Raises()
        told, counters, words = Told(), Counters(), FailureWords()
        book = SpentRows(core.store, core.custodian, clock)
        models = ModelService(
            Registry({"some": provider, "other": provider}), limits=QUICK, words=words
        )
        desk = Desk(models, agents, book, prices, raises, told, counters, clock, "USD")
        meters = Budgets(desk)
        yield House(
            core, clock, agents, provider, prices, raises, told, counters, words, book, meters
        )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = ManualClock(BEGIN_DAY * DAY_MS + 1000)
    async with opened(tmp_path, clock, Agents()) as found:
        yield found


def is_spent(events: list[ModelTell]) -> bool:
    match events:
        case [Failed(call=7, code=WireCode.BUDGET_SPENT)]:
            return True
        case _:
            return False


# --- counting -------------------------------------------------------------------------------------


async def test_without_a_budget_it_is_counted_and_nobody_waits(house: House):
    assert await house.ask() == [Delta(7, "hi"), ANSWER]
    kept = await house.core.store.read(lambda db: list(db.execute("SELECT * FROM spent")))
    assert kept == []
    day = await house.day()
    assert (day.calls, day.input_tokens, day.output_tokens, day.unpriced) == (1, 100, 20, 1)
    assert house.counters.amounts == [("helper", "some/big", day)]


async def test_what_was_noted_is_written_within_a_second(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ironclaw.store.spent_rows.BEHIND_S", 0.001)
    task = asyncio.ensure_future(house.book.keep())
    await house.ask()
    for _ in range(1000):
        kept = await house.core.store.read(lambda db: list(db.execute("SELECT calls FROM spent")))
        if kept:
            break
        await asyncio.sleep(0.001)
    assert kept == [(1,)]
    task.cancel()


async def test_calls_are_counted_and_the_one_over_is_not_sent(house: House):
    house.agents.limit(calls_per_day=2)
    assert [is_spent(await house.ask()) for _ in range(4)] == [False, False, True, True]
    assert len(house.provider.asked) == 2
    assert (await house.day()).calls == 2
    assert house.counters.refused == ["helper", "helper"]


async def test_a_budget_of_nothing_lets_nothing_through(house: House):
    for name in ("calls_per_day", "tokens_per_day", "tokens_per_session", "calls_per_session"):
        house.agents.limit(**{name: 0})
        assert is_spent(await house.ask())
    assert house.provider.asked == []
    assert await house.day() == Amounts()


async def test_of_many_calls_at_once_no_more_go_through_than_there_are(house: House):
    house.agents.limit(calls_per_day=3)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(house.ask()) for _ in range(10)]
    assert sum(not is_spent(task.result()) for task in tasks) == 3
    assert len(house.provider.asked) == 3


async def test_many_calls_at_once_cannot_overspend(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flights, "WAIT_S", 0.05)
    house.prices.known["some/big"] = DEAR
    first, other = (
        -(-(tokens * 3750 + ASK.max_output_tokens * 15_000) // 1000) for tokens in (RESERVED, SIZE)
    )
    house.agents.limit(money_per_day=first + other * 2 + 1)
    house.provider.hold()
    tasks = [asyncio.ensure_future(house.ask()) for _ in range(10)]
    await house.provider.until_held(3)
    await asyncio.sleep(0.3)
    assert len(house.provider.asked) == 3
    house.provider.go_on()
    results = await asyncio.gather(*tasks)
    assert sum(map(is_spent, results)) == 7


@pytest.mark.parametrize("is_weak", [False, True])
async def test_texts_of_many_tokens_overspend_by_less_than_one_of_them(
    house: House, monkeypatch: pytest.MonkeyPatch, is_weak: bool
):
    """A box can say what has a token for each byte; four of its calls run at once."""
    monkeypatch.setattr(flights, "WAIT_S", 0.05)
    if is_weak:
        monkeypatch.setattr(budgets, "WORST_BYTES", GUESSED_BYTES)
    most = 4 * (RESERVED + ASK.max_output_tokens)
    house.agents.limit(tokens_per_day=most)
    house.provider.script = [Counted(SIZE, 0), ANSWER]
    house.provider.hold()
    tasks = [asyncio.ensure_future(house.ask()) for _ in range(4)]
    await asyncio.sleep(0.3)
    house.provider.go_on()
    await asyncio.gather(*tasks)
    over = (await house.day()).tokens - most
    assert (over > SIZE) is is_weak


async def test_what_others_were_reserved_and_did_not_use_is_waited_for(house: House):
    house.agents.limit(tokens_per_day=RESERVED + SIZE)
    house.provider.script = [Counted(10, 1), ANSWER]
    results = await asyncio.gather(*(house.ask() for _ in range(9)))
    assert not any(map(is_spent, results))
    assert (await house.day()).tokens == 99
    assert not house.budgets._flights
    assert house.raises.asked == []


async def test_a_raise_takes_effect_with_the_next_call(house: House):
    house.agents.limit(calls_per_day=1)
    await house.ask()
    assert is_spent(await house.ask())
    house.agents.limit(calls_per_day=2)
    assert not is_spent(await house.ask())


async def test_a_new_day_in_utc_begins_at_nothing(house: House):
    house.agents.limit(calls_per_day=1)
    await house.ask()
    assert is_spent(await house.ask())
    house.clock.advance(86_400)
    assert not is_spent(await house.ask())


async def test_a_session_is_counted_by_itself_and_over_days(house: House):
    house.agents.limit(calls_per_session=1)
    await house.ask()
    house.clock.advance(3 * 86_400)
    assert is_spent(await house.ask())
    assert not is_spent(await house.ask(session=SessionId("ses_b")))


async def test_the_count_survives_a_restart(tmp_path: Path):
    clock, agents = ManualClock(BEGIN_DAY * DAY_MS), Agents()
    agents.limit(calls_per_day=1)
    for expected in (False, True):
        async with opened(tmp_path, clock, agents) as house:
            assert is_spent(await house.ask()) is expected


async def test_what_was_reserved_when_the_core_died_counts(tmp_path: Path):
    clock, agents = ManualClock(BEGIN_DAY * DAY_MS), Agents()
    agents.limit(tokens_per_day=RESERVED + ASK.max_output_tokens)
    async with opened(tmp_path, clock, agents) as house:
        house.provider.hold()
        asking = asyncio.ensure_future(house.ask())
        await house.provider.until_held(1)
        asking.cancel()
    async with opened(tmp_path, clock, agents) as house:
        assert (await house.day()).tokens == RESERVED + ASK.max_output_tokens
        assert is_spent(await house.ask())


# --- tokens and money -----------------------------------------------------------------------------


async def test_tokens_are_corrected_to_what_the_provider_counted(house: House):
    house.agents.limit(tokens_per_day=240 + RESERVED)
    for calls in (1, 2):
        await house.ask()
        day = await house.day()
        assert (day.calls, day.tokens) == (calls, 120 * calls)
    assert is_spent(await house.ask())


async def test_what_is_left_bounds_the_answer(house: House):
    house.agents.limit(tokens_per_day=RESERVED + 300)
    long = msgspec.structs.replace(ASK, max_output_tokens=4000)
    await house.ask(long)
    (asked,) = house.provider.asked
    assert asked.max_output_tokens is not None
    assert 256 <= asked.max_output_tokens <= 300


async def test_money_is_counted_with_what_was_kept_apart(house: House):
    house.prices.known["some/big"] = DEAR
    house.agents.limit(money_per_day=10**9)
    house.provider.script = [Counted(1000, 100, cached=900, written=50), ANSWER]
    await house.ask()
    day = await house.day()
    assert day == Amounts(
        calls=1,
        input_tokens=1000,
        cached_tokens=900,
        written_tokens=50,
        output_tokens=100,
        micros=-(-(50 * 3000 + 900 * 300 + 50 * 3750 + 100 * 15_000) // 1000),
    )


async def test_a_model_whose_price_nobody_knows_is_refused_with_what_to_do(house: House):
    house.agents.limit(money_per_day=10**6)
    (event,) = await house.ask()
    assert isinstance(event, Failed)
    assert event.code is WireCode.MODEL_REFUSED
    assert "price" not in event.text.lower()
    word = house.words.why(SESSION, ASK.turn)
    assert '[models.providers.some.prices."big"]' in word
    assert house.provider.asked == []


async def test_a_fallback_with_a_price_goes_on_for_one_without(house: House):
    house.agents.become(fallbacks=("other/small",), money_per_day=10**6)
    house.prices.known["other/small"] = DEAR
    assert await house.ask() == [Delta(7, "hi"), ANSWER]
    assert [one.model for one in house.provider.asked] == ["other/small"]


async def test_a_provider_that_does_not_count_is_counted_for(house: House):
    house.agents.limit(tokens_per_day=10_000)
    text = "word " * 100
    house.provider.script = [Generated(7, (Answered(text),), Stop.END)]
    await house.ask()
    assert (await house.day()).tokens >= GUESS + len(text) // TOKEN_BYTES


async def test_images_are_thought_to_cost_something(house: House):
    house.agents.limit(tokens_per_day=1500)
    image = File(id="f1", name="a.png", media_type="image/png", size=9)
    said = Said(message="msg_a", sender="Ann", text="see", at_ms=1, files=(image,))
    assert is_spent(await house.ask(msgspec.structs.replace(ASK, entries=(said,))))


# --- failures -------------------------------------------------------------------------------------


async def test_a_call_that_failed_costs_no_tokens_and_is_one_call(house: House):
    house.agents.limit(tokens_per_day=10_000)
    house.provider.script = [Failed(7, WireCode.MODEL_UNAVAILABLE, "no")]
    await house.ask()
    assert len(house.provider.asked) == QUICK.attempts
    day = await house.day()
    assert (day.calls, day.tokens) == (1, 0)


@pytest.mark.parametrize("most", [1, 2])
async def test_one_that_is_asked_again_in_another_way_is_two(house: House, most: int):
    house.agents.limit(calls_per_day=most)
    again = Provider([ANSWER])
    house.provider.trouble = ModelTrouble(WireCode.MODEL_REFUSED, "It takes no pictures.")
    house.provider.trouble.instead = again.generate
    *_, end = await house.ask()
    assert len(again.asked) == most - 1
    assert (await house.day()).calls == most
    assert isinstance(end, Failed if most == 1 else Generated)
    assert is_spent(await house.ask())


async def test_each_attempt_that_said_something_costs(house: House):
    house.agents.limit(tokens_per_day=100_000)
    house.provider.script = [Delta(7, "x" * 400), Failed(7, WireCode.MODEL_UNAVAILABLE, "no")]
    await house.ask()
    day = await house.day()
    assert (day.calls, day.tokens) == (1, QUICK.attempts * (GUESS + 100))


async def test_an_attempt_that_does_not_fit_any_more_is_not_made(house: House):
    house.agents.limit(tokens_per_day=RESERVED + ASK.max_output_tokens + 1)
    house.provider.script = [Delta(7, "x" * 400), Failed(7, WireCode.MODEL_UNAVAILABLE, "no")]
    *_, end = await house.ask()
    assert isinstance(end, Failed)
    assert end.code is WireCode.BUDGET_SPENT
    assert len(house.provider.asked) == 1


async def test_an_agent_that_cuts_its_calls_off_gains_nothing(house: House):
    house.agents.limit(tokens_per_day=10_000)
    stream = house.budgets.generate(house.agents.now, SESSION, ASK)
    async with contextlib.aclosing(stream) as events:
        assert await anext(events) == Delta(7, "hi")
    assert house.provider.closed == 1
    day = await house.day()
    assert (day.calls, day.tokens) == (1, RESERVED + ASK.max_output_tokens)


async def test_one_that_was_cut_off_without_a_budget_is_guessed(house: House):
    stream = house.budgets.generate(house.agents.now, SESSION, ASK)
    async with contextlib.aclosing(stream) as events:
        await anext(events)
    day = await house.day()
    assert (day.calls, day.input_tokens, day.unpriced) == (1, GUESS, 1)


@pytest.mark.parametrize("limits", [{}, {"tokens_per_day": 10_000}])
async def test_one_that_was_cut_off_costs_what_is_known(house: House, limits: dict[str, int]):
    house.prices.known["some/big"] = (Tier(input=1000, output=2000, cached=1000, written=1000),)
    house.agents.limit(**limits)
    stream = house.budgets.generate(house.agents.now, SESSION, ASK)
    async with contextlib.aclosing(stream) as events:
        await anext(events)
    day = await house.day()
    assert (day.calls, day.unpriced) == (1, 0)
    assert day.micros == day.input_tokens + 2 * day.output_tokens


async def test_a_call_over_midnight_is_counted_in_the_day_that_it_began_in(house: House):
    house.agents.limit(tokens_per_day=10_000)
    stream = house.budgets.generate(house.agents.now, SESSION, ASK)
    async with contextlib.aclosing(stream) as events:
        await anext(events)
        house.clock.advance(86_400)
        assert [event async for event in events] == [ANSWER]
    used = await house.book.used(house.agents.now.id, BEGIN_DAY, SESSION)
    assert (used.day.calls, used.day.tokens) == (1, 120)
    assert await house.day() == Amounts()


async def test_a_call_that_cannot_be_counted_is_not_made(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    async def broken(*_: Any) -> Any:
        raise HostError(Code.STORE_FAILED, "No.", hint="Wait.")

    house.agents.limit(calls_per_day=5)
    monkeypatch.setattr(house.book, "reserve", broken)
    (event,) = await house.ask()
    assert isinstance(event, Failed)
    assert event.code is WireCode.MODEL_UNAVAILABLE
    assert house.provider.asked == []


async def test_an_answer_that_cannot_be_corrected_is_given_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    async def broken(*_: Any) -> Any:
        raise HostError(Code.STORE_FAILED, "No.", hint="Wait.")

    house.agents.limit(tokens_per_day=10_000)
    monkeypatch.setattr(house.book, "add", broken)
    assert await house.ask() == [Delta(7, "hi"), ANSWER]
    assert (await house.day()).tokens == RESERVED + ASK.max_output_tokens


async def test_an_agent_that_is_not_there_any_more_asks_nothing(house: House):
    gone = msgspec.structs.replace(house.agents.now, id=AgentId("agt_gone"))
    (event,) = [event async for event in house.budgets.generate(gone, SESSION, ASK)]
    assert isinstance(event, Failed)
    assert house.provider.asked == []


# --- telling --------------------------------------------------------------------------------------


async def test_people_are_told_which_budget_and_how_to_raise_it(house: House):
    house.agents.limit(calls_per_day=1)
    await house.ask()
    await house.ask()
    assert house.raises.asked == [("calls_per_day", 1)]
    word = house.words.why(SESSION, ASK.turn)
    assert "model calls of today (UTC): 1 of 1" in word
    assert "`ironclaw approve chg_raise` raises it to 10" in word


async def test_a_warning_is_said_once_for_each_window_and_limit(tmp_path: Path):
    clock, agents = ManualClock(BEGIN_DAY * DAY_MS), Agents()
    async with opened(tmp_path, clock, agents) as house:
        talk = await house.core.begin()
        heard = await talk.hear("hello")
        agents.now = msgspec.structs.replace(talk.agent, model="some/big", calls_per_day=5)
        ask = msgspec.structs.replace(ASK, turn=heard.message.id)
        for _ in range(4):
            await house.ask(ask, talk.session)
        (told,) = house.told.deliveries
        assert told.said_by == "ironclaw"
        assert not told.is_error
        assert "80 % of its model calls of today (UTC): 4 of 5" in told.text
        # It answers nothing: who waits for an answer to what was said is not told this instead.
        assert told.message != heard.message.id
        assert told.chat == talk.chat.id
        events = await house.core.chatlog.chat_events(talk.chat.id, after=0, limit=9)
        assert [(one.kind, one.text) for one in events][1:] == [("reply", told.text)]
        house.told.deliveries.clear()
        await house.ask(ask, talk.session)
        assert house.told.deliveries == []
    async with opened(tmp_path, clock, agents) as house:
        house.agents.limit(calls_per_day=7)
        await house.ask(ask, talk.session)
        assert len(house.told.deliveries) == 1
        house.clock.advance(86_400)
        for _ in range(6):
            await house.ask(ask, talk.session)
        assert len(house.told.deliveries) == 2


async def test_a_turn_of_another_session_is_told_nothing(house: House):
    talk = await house.core.begin()
    heard = await talk.hear("hello")
    house.agents.limit(calls_per_day=5)
    ask = msgspec.structs.replace(ASK, turn=heard.message.id)
    for _ in range(5):
        await house.ask(ask, SessionId("ses_other"))
    assert house.told.deliveries == []


# --- the table ------------------------------------------------------------------------------------


async def test_old_days_are_forgotten(house: House):
    for _ in range(3):
        await house.ask()
        await house.book.flush()
        house.clock.advance(200 * 86_400)
    kept = await house.core.store.read(
        lambda db: [row[0] for row in db.execute("SELECT day FROM spent ORDER BY day")]
    )
    assert kept == [BEGIN_DAY + 200, BEGIN_DAY + 400]
    assert KEPT_DAYS == 400


async def test_what_could_not_be_written_is_not_lost(house: House, monkeypatch: pytest.MonkeyPatch):
    async def broken(_work: Any) -> Any:
        raise HostError(Code.STORE_FAILED, "No.", hint="Wait.")

    await house.ask()
    with monkeypatch.context() as patch:
        patch.setattr(house.core.store, "write", broken)
        with pytest.raises(HostError):
            await house.book.flush()
    assert (await house.day()).calls == 1


async def test_a_call_that_a_budget_held_back_leaves_the_provider_to_the_next_one(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    limits = BreakerLimits(failures=1, rest_s=0.01)
    monkeypatch.setattr("ironclaw.models.service.Breaker", lambda: Breaker(limits))
    house.provider.script = [Failed(7, WireCode.MODEL_UNAVAILABLE, "no")]
    house.provider.trouble = ModelTrouble(WireCode.MODEL_UNAVAILABLE, "", is_sick=True)
    await house.ask()
    await asyncio.sleep(0.05)
    house.provider.trouble = None
    house.provider.script = [Delta(7, "hi"), ANSWER]
    house.agents.limit(calls_per_day=1)
    assert is_spent(await house.ask())
    house.agents.limit(calls_per_day=2)
    assert await house.ask() == [Delta(7, "hi"), ANSWER]


async def test_a_provider_that_lies_about_what_it_used_stops_nobodys_counting(
    tmp_path: Path,
):
    agents = Agents()
    async with opened(tmp_path, ManualClock(), agents) as house:
        lie = Counted(2**70, 2**70, 2**70, 2**70)
        rates = (Tier(input=10**12, output=10**12, cached=0, written=0),)
        house.prices.known = {"some/big": rates}
        house.provider.script = [Delta(7, "hi"), lie, ANSWER]
        for _ in range(3):
            assert isinstance((await house.ask())[-1], Generated)
        used = await house.day()
        assert used.calls == 3
        assert used.tokens == 3 * 2 * MOST_TOKENS
