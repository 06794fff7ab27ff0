"""How much of a conversation fits: by the smallest window, and by what providers count."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cores import Core, until

from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Agent
from ironclaw.models.provider import Registry as Providers
from ironclaw.models.scripted import Scripted
from ironclaw.models.service import ModelService
from ironclaw.services.rooms import Rooms
from ironclaw_contract.entries import File, Said
from ironclaw_contract.rpc import Generate

MOST = 512 * 1024
AGENT = Agent(id=AgentId("agt_a"), lane=1, name="a", model="acme/big", fallbacks=("acme/small",))


def request(chars: int, *, files: tuple[File, ...] = ()) -> Generate:
    said = Said(message="m", sender="Ann", text="x" * chars, at_ms=0, files=files)
    return Generate(call=1, turn="m", system="", entries=(said,), tools=(), max_output_tokens=1)


def test_the_houses_limit_holds_for_models_nobody_knows():
    assert Rooms(most_bytes=MOST).context_bytes(AGENT) == MOST


def test_the_smallest_window_counts_and_none_goes_over_the_limit():
    rooms = Rooms(most_bytes=MOST)
    rooms.saw("acme/big", 1_000_000)
    assert rooms.context_bytes(AGENT) == MOST
    rooms.saw("acme/small", 8192)
    small = rooms.context_bytes(AGENT)
    assert 8192 < small < 8192 * 3
    rooms.saw("acme/big", 4096)
    assert rooms.context_bytes(AGENT) < small


def test_what_settings_say_of_a_provider_holds_until_a_server_says_more():
    rooms = Rooms(most_bytes=MOST, told={"acme": 8192, "other": 0})
    told = rooms.context_bytes(AGENT)
    assert told < 8192 * 3
    for model in ("acme/big", "acme/small"):
        rooms.saw(model, 32_768)
    assert rooms.context_bytes(AGENT) > told


def test_bytes_of_a_token_are_measured_apart_for_each_model():
    rooms = Rooms(most_bytes=MOST)
    rooms.saw("acme/big", 32_768)
    before = rooms.context_bytes(AGENT)
    rooms.read(AGENT.id, "other/model", request(10_000), 10_000)
    assert rooms.context_bytes(AGENT) == before
    rooms.read(AGENT.id, "acme/big", request(10_000), 10_000)
    assert rooms.context_bytes(AGENT) < before
    for _ in range(20):
        rooms.read(AGENT.id, "acme/big", request(10_000), 2500)
    assert rooms.context_bytes(AGENT) > before


def test_what_says_little_is_not_measured():
    rooms = Rooms(most_bytes=MOST)
    rooms.saw("acme/big", 32_768)
    before = rooms.context_bytes(AGENT)
    rooms.read(AGENT.id, "acme/big", request(100), 100)
    picture = File(id="f", name="a.png", media_type="image/png", size=9)
    rooms.read(AGENT.id, "acme/big", request(1000, files=(picture,)), 1000)
    assert rooms.context_bytes(AGENT) == before


def test_what_stands_before_the_conversation_takes_its_room():
    rooms = Rooms(most_bytes=MOST)
    rooms.saw("acme/big", 32_768)
    longer = msgspec.structs.replace(AGENT, persona="p" * 5000, tools=("memory_read",))
    assert rooms.context_bytes(longer) < rooms.context_bytes(AGENT) - 5000


def test_whoever_watches_is_told_of_news_only():
    rooms, told = Rooms(most_bytes=MOST), []
    rooms.watch(lambda: told.append(1))
    rooms.saw("acme/big", 8192)
    rooms.saw("acme/big", 8192)
    assert len(told) == 1
    rooms.read(AGENT.id, "acme/big", request(9000), 3000)  # as was thought
    assert len(told) == 1
    rooms.read(AGENT.id, "acme/big", request(9000), 9000)
    assert len(told) == 2


async def test_every_call_that_a_provider_counts_is_a_measure():
    rooms = Rooms(most_bytes=MOST)
    agent = msgspec.structs.replace(AGENT, model="scripted", fallbacks=())
    rooms.saw("scripted", 32_768)
    before = rooms.context_bytes(agent)
    service = ModelService(Providers({"scripted": Scripted()}), rooms=rooms)
    async for _ in service.generate(agent, SessionId("ses_a"), request(8000)):
        pass
    assert rooms.context_bytes(agent) > before, "the scripted model counts four bytes as a token"


@given(tokens=st.integers(1, 10**8), counted=st.integers(0, 10**8), chars=st.integers(0, 5000))
def test_whatever_providers_say_a_turn_has_room(tokens: int, counted: int, chars: int):
    rooms = Rooms(most_bytes=MOST)
    rooms.saw("acme/big", tokens)
    rooms.read(AGENT.id, "acme/big", request(chars), counted)
    assert 4096 <= rooms.context_bytes(AGENT) <= MOST


@pytest.mark.parametrize("tokens", [16_384])
async def test_a_running_box_is_told_when_a_window_becomes_known(core: Core, tokens: int):
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    assert core.box().setups[-1].context_bytes == MOST
    core.rooms.saw("scripted", tokens)
    await until(lambda: len(core.box().setups) == 2)
    small = core.box().setups[-1].context_bytes
    assert small < tokens * 3
    # A fresh box is told at once, and of no more of the past than that.
    await core.sessions.stop(talk.session)
    await core.hear(talk, "two")
    await core.answered(talk, 2)
    assert core.box().setups[0].context_bytes == small
