"""What the service adds to every provider: deadlines, retries, the cap, checks and safe words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from msgspec import structs

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Agent
from ironclaw.models.provider import Registry, provider_name
from ironclaw.models.service import SAFE_TEXTS, ModelLimits, ModelService
from ironclaw.models.trouble import ModelTrouble
from ironclaw.models.words import FailureWords
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Said
from ironclaw_contract.frames import decode_tell, pack
from ironclaw_contract.rpc import Delta, Failed, Generate, Generated, ModelTell, Purpose, Stop

AGENT = Agent(id=AgentId("agt_1"), name="tester", model="fake/some-model")
SESSION = SessionId("ses_1")
QUICK = ModelLimits(
    first_event_s=0.05, next_event_s=0.05, total_s=5, first_delay_s=0.001, longest_delay_s=0.002
)
SECRET = "key sk-verysecret at /etc/provider on host 10.0.0.7"
Attempt = Callable[[Generate], AsyncGenerator[ModelTell, None]]


def ask(call: int = 3) -> Generate:
    said = Said(message="msg_1", sender="Ann", text="hi", at_ms=0)
    return Generate(
        call=call, turn="msg_1", system="", entries=(said,), tools=(), max_output_tokens=10
    )


def good(text: str = "fine") -> Generated:
    return Generated(call=99, entries=(Answered(text=text),), stop=Stop.END)


class Fake:
    """A provider whose attempts are written down beforehand; the last one repeats."""

    def __init__(self, *attempts: Attempt) -> None:
        self._attempts = attempts
        self.made = 0
        self.ended = 0

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        assert (agent, session) == (AGENT, SESSION)
        attempt = self._attempts[min(self.made, len(self._attempts) - 1)]
        self.made += 1
        try:
            async for event in attempt(request):
                yield event
        finally:
            self.ended += 1


def plays(*events: ModelTell | Exception | float) -> Attempt:
    """An attempt: events to send, errors to raise, seconds to wait."""

    async def attempt(request: Generate) -> AsyncGenerator[ModelTell, None]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, float):
                await asyncio.sleep(event)
            else:
                yield event

    return attempt


async def run(fake: Fake, limits: ModelLimits = QUICK) -> list[ModelTell]:
    service = ModelService(Registry({"fake": fake}), limits=limits)
    got = [event async for event in service.generate(AGENT, SESSION, ask())]
    assert fake.ended == fake.made
    for event in got:
        assert event.call == 3
        decode_tell(pack(event)[4:])
    assert not any(isinstance(event, Generated | Failed) for event in got[:-1])
    return got


async def test_an_answer_comes_numbered_as_it_was_asked():
    got = await run(Fake(plays(Delta(call=99, text="fi"), good())))
    assert got == [
        Delta(call=3, text="fi"),
        Generated(call=3, entries=(Answered(text="fine"),), stop=Stop.END),
    ]


async def test_a_temporary_failure_is_tried_again():
    no = Failed(call=3, code=WireCode.MODEL_UNAVAILABLE, text="")
    fake = Fake(plays(no), plays(HostError(Code.MODEL_FAILED, SECRET)), plays(good()))
    assert isinstance((await run(fake))[-1], Generated)
    assert fake.made == 3


async def test_it_gives_up_after_so_many_attempts():
    fake = Fake(plays(HostError(Code.MODEL_FAILED, SECRET)))
    got = await run(fake)
    assert got == [
        Failed(
            call=3,
            code=WireCode.MODEL_UNAVAILABLE,
            text=SAFE_TEXTS[WireCode.MODEL_UNAVAILABLE],
        )
    ]
    assert fake.made == QUICK.attempts


async def test_a_permanent_failure_is_not_tried_again():
    fake = Fake(plays(Failed(call=3, code=WireCode.MODEL_REFUSED, text=SECRET)))
    got = await run(fake)
    assert got[-1].code is WireCode.MODEL_REFUSED
    assert fake.made == 1


@pytest.mark.hostile
@pytest.mark.parametrize(
    "attempt",
    [
        plays(Failed(call=3, code=WireCode.INTERNAL, text=SECRET)),
        plays(ValueError(SECRET)),
        plays(HostError(Code.MODEL_FAILED, SECRET, detail=SECRET)),
    ],
)
async def test_nothing_a_provider_says_of_a_failure_reaches_the_box(attempt: Attempt):
    (end,) = await run(Fake(attempt))
    assert isinstance(end, Failed)
    assert end.text in SAFE_TEXTS.values()


async def test_words_that_were_shown_are_not_shown_again_by_a_second_attempt():
    broken = plays(Delta(call=3, text="fi"), HostError(Code.MODEL_FAILED, "gone"))
    got = await run(Fake(broken, plays(Delta(call=3, text="fine"), good())))
    assert [event.text for event in got if isinstance(event, Delta)] == ["fi"]
    assert isinstance(got[-1], Generated)


@pytest.mark.parametrize("silence", [plays(10.0), plays(Delta(call=3, text="a"), 10.0), plays()])
async def test_silence_ends_an_attempt(silence: Attempt):
    fake = Fake(silence, plays(good()))
    assert isinstance((await run(fake))[-1], Generated)
    assert fake.made == 2


async def test_all_attempts_together_have_one_deadline():
    limits = QUICK._replace(total_s=0.12, attempts=1000)
    fake = Fake(plays(10.0))
    assert (await run(fake, limits))[-1].code is WireCode.MODEL_UNAVAILABLE
    assert fake.made < 10


@pytest.mark.hostile
@pytest.mark.parametrize(
    "entry",
    [
        Called(call="c1", name="../../etc", arguments="{}"),
        Called(call="a b", name="fine", arguments="{}"),
        Answered(text="\ud800"),
        Answered(text="x" * 300_000),
        Said(message="msg_1", sender="", text="not the model's", at_ms=0),
    ],
)
async def test_an_answer_that_is_not_of_the_contract_stops_on_the_host(entry: Answered | Called):
    fake = Fake(plays(Generated(call=3, entries=(entry,), stop=Stop.END)))
    (end,) = await run(fake)
    assert isinstance(end, Failed)


async def test_a_large_piece_is_cut_and_half_a_character_replaced():
    got = await run(
        Fake(plays(Delta(call=3, text="x" * 40_000), Delta(call=3, text="\udc00"), good()))
    )
    assert [len(event.text) for event in got[:-1]] == [16384, 16384, 7232, 1]


async def test_no_more_attempts_run_at_once_than_the_cap_allows():
    running = peak = 0

    async def attempt(request: Generate) -> AsyncGenerator[ModelTell, None]:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.01)
        running -= 1
        yield good()

    service = ModelService(
        Registry({"fake": Fake(attempt)}), limits=QUICK._replace(concurrent=2, waiting=3)
    )
    ends: list[ModelTell] = []

    async def call() -> None:
        ends.extend([event async for event in service.generate(AGENT, SESSION, ask())])

    async with asyncio.TaskGroup() as group:
        for number in range(7):
            group.create_task(call(), name=f"call {number}")
    assert peak == 2
    busy = [end for end in ends if isinstance(end, Failed)]
    assert [end.code for end in busy] == [WireCode.BUSY] * 2


async def test_closing_the_stream_ends_the_attempt_and_frees_its_place():
    fake = Fake(plays(Delta(call=3, text="a"), 10.0))
    service = ModelService(
        Registry({"fake": fake}), limits=QUICK._replace(concurrent=1, next_event_s=10)
    )
    for _ in range(3):
        stream = service.generate(AGENT, SESSION, ask())
        await anext(stream)
        await stream.aclose()
    assert (fake.made, fake.ended) == (3, 3)


async def test_cancelling_the_caller_ends_the_attempt():
    fake = Fake(plays(10.0))
    service = ModelService(Registry({"fake": fake}), limits=QUICK._replace(first_event_s=10))

    async def call() -> None:
        async for _ in service.generate(AGENT, SESSION, ask()):
            pass

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await call()
    assert (fake.made, fake.ended) == (1, 1)


async def test_a_provider_that_is_not_configured_is_a_refusal_and_no_exception():
    service = ModelService(Registry({}))
    (end,) = [event async for event in service.generate(AGENT, SESSION, ask())]
    assert isinstance(end, Failed)
    assert end.code is WireCode.MODEL_REFUSED


@pytest.mark.parametrize("own", [None, 5, 10, 32_000])
@pytest.mark.parametrize("purpose", Purpose)
async def test_what_is_no_answer_for_people_is_as_short_as_the_box_asks(
    own: int | None, purpose: Purpose
):
    asked: list[int | None] = []

    class Noting:
        async def generate(
            self, agent: Agent, session: SessionId, request: Generate
        ) -> AsyncGenerator[ModelTell, None]:
            assert (session, request.purpose) == (SESSION, purpose)
            asked.append(agent.max_output_tokens)
            yield good()

    registry = Registry({"fake": Noting()})
    agent = structs.replace(AGENT, max_output_tokens=own)
    request = structs.replace(ask(), purpose=purpose)
    stream = ModelService(registry, limits=QUICK).generate(agent, SESSION, request)
    assert [type(event) async for event in stream] == [Generated]
    is_cut = own == 32_000 and purpose is not Purpose.TURN
    assert asked == [10 if is_cut else own]


def test_a_model_setting_is_checked_with_the_names_there_are():
    registry = Registry({"fake": Fake(plays(good()))})
    registry.check("fake/whatever")
    with pytest.raises(UserError) as caught:
        registry.check("other")
    assert caught.value.code is Code.NOT_FOUND
    assert "fake" in caught.value.hint


def test_a_provider_needs_a_proper_name():
    with pytest.raises(UserError):
        Registry({"No Name": Fake(plays(good()))})


# --- what providers say of their failures, and who stands in --------------------------------------


def troubled(code: WireCode, word: str = "The provider is off.", **more: Any) -> Attempt:
    return plays(ModelTrouble(code, word, **more))


class Named:
    """Providers by the agent's model: each call takes the next attempt of its own list."""

    def __init__(self, **attempts: list[Attempt]) -> None:
        self._attempts = attempts
        self.asked: list[str] = []

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        assert session == SESSION
        name = provider_name(agent.model)
        number = self.asked.count(name)
        self.asked.append(name)
        attempts = self._attempts[name]
        async for event in attempts[min(number, len(attempts) - 1)](request):
            yield event


async def asked(
    named: Named, agent: Agent, words: FailureWords, limits: ModelLimits = QUICK
) -> list[ModelTell]:
    registry = Registry(dict.fromkeys(named._attempts, named))
    service = ModelService(registry, limits=limits, words=words)
    return [event async for event in service.generate(agent, SESSION, ask())]


WITH_FALLBACKS = structs.replace(AGENT, model="one/a", fallbacks=("two/b", "three/c"))


async def test_what_is_permanent_is_said_at_once_with_its_reason():
    named = Named(one=[troubled(WireCode.MODEL_REFUSED, "The key is wrong.")])
    words = FailureWords()

    got = await asked(named, structs.replace(AGENT, model="one/a"), words)

    assert got == [
        Failed(call=3, code=WireCode.MODEL_REFUSED, text=SAFE_TEXTS[WireCode.MODEL_REFUSED])
    ]
    assert named.asked == ["one"]
    assert words.why(SESSION, "msg_1") == "The key is wrong."
    assert words.why("ses_2", "msg_1") == ""


async def test_a_fallback_answers_for_a_model_that_cannot():
    named = Named(
        one=[troubled(WireCode.MODEL_UNAVAILABLE, is_sick=True)],
        two=[troubled(WireCode.MODEL_REFUSED)],
        three=[plays(Delta(call=1, text="hi"), good())],
    )
    words = FailureWords()

    got = await asked(named, WITH_FALLBACKS, words)

    assert got[-1] == Generated(call=3, entries=(Answered(text="fine"),), stop=Stop.END)
    assert named.asked == ["one"] * 4 + ["two", "three"]
    assert words.why(SESSION, "msg_1") == ""


async def test_when_nobody_can_answer_people_are_told_of_the_first():
    named = Named(
        one=[troubled(WireCode.MODEL_REFUSED, "One is off.")],
        two=[troubled(WireCode.MODEL_REFUSED, "Two is off.")],
        three=[troubled(WireCode.MODEL_REFUSED, "Three is off.")],
    )
    words = FailureWords()

    await asked(named, WITH_FALLBACKS, words)

    assert words.why(SESSION, "msg_1").startswith("One is off. ")
    assert "stands in" in words.why(SESSION, "msg_1")


async def test_an_answer_that_is_too_large_is_nobody_elses_to_give():
    named = Named(one=[troubled(WireCode.TOO_LARGE)], two=[plays(good())], three=[plays(good())])

    got = await asked(named, WITH_FALLBACKS, FailureWords())

    assert isinstance(got[-1], Failed)
    assert named.asked == ["one"]


async def test_words_of_a_model_that_broke_off_are_not_followed_by_anothers():
    named = Named(
        one=[plays(Delta(call=1, text="Once upon"), ModelTrouble(WireCode.MODEL_REFUSED, "no"))],
        two=[plays(Delta(call=1, text="Hello"), good("Hello"))],
        three=[plays(good())],
    )

    got = await asked(named, WITH_FALLBACKS, FailureWords())

    assert [event.text for event in got if isinstance(event, Delta)] == ["Once upon"]
    assert isinstance(got[-1], Generated)


async def test_a_provider_is_left_alone_for_as_long_as_it_wants():
    named = Named(one=[troubled(WireCode.BUSY, retry_after_s=0.2, is_sick=True), plays(good())])
    began = asyncio.get_running_loop().time()

    got = await asked(named, structs.replace(AGENT, model="one/a"), FailureWords())

    assert isinstance(got[-1], Generated)
    assert asyncio.get_running_loop().time() - began >= 0.2


async def test_a_rest_that_is_too_long_is_not_waited_for():
    named = Named(one=[troubled(WireCode.BUSY, "Later.", retry_after_s=3600.0)])
    words = FailureWords()

    await asked(named, structs.replace(AGENT, model="one/a"), words)

    assert named.asked == ["one"]
    assert words.why(SESSION, "msg_1") == "Later."


async def test_a_provider_that_keeps_failing_is_not_asked_any_more():
    named = Named(one=[troubled(WireCode.MODEL_UNAVAILABLE, is_sick=True)])
    service = ModelService(Registry({"one": named}), limits=QUICK, words=(words := FailureWords()))
    agent = structs.replace(AGENT, model="one/a")

    for _ in range(5):
        async for _event in service.generate(agent, SESSION, ask()):
            pass

    assert len(named.asked) == 5
    words.keep(SESSION, "msg_1", "")
    async for _event in service.generate(agent, SESSION, ask()):
        pass
    assert "asked again in" in words.why(SESSION, "msg_1")
    assert len(named.asked) == 5


def test_words_do_not_grow_without_end():
    words = FailureWords()
    for number in range(3000):
        words.keep("ses_1", f"msg_{number}", "no")

    assert len(words._words) <= 1024
    assert words.why("ses_1", "msg_2999") == "no"
