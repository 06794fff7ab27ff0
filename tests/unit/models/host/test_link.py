"""The core's end of the link: what a host that was taken over can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.model_house import generate

from ironclaw.domain.providers import Picture
from ironclaw.domain.spending import FREE, Counted, Tier
from ironclaw.models.host.link import HostLink, open_link
from ironclaw.models.host.messages import (
    CREDIT,
    LENGTH,
    MAX_LINK_BYTES,
    Ask,
    Drop,
    Failure,
    FromHost,
    More,
    Piece,
    Priced,
    Ready,
    Show,
    ToHost,
    Whole,
    Window,
    decode_from_host,
    decode_to_host,
    pack,
    size_of,
)
from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.codes import WireCode
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Delta, Generated, Stop

WHOLE = Generated(call=3, entries=(), stop=Stop.END)


class Host:
    """The other end, played by the test."""

    def __init__(
        self, link: HostLink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.link = link
        self._reader = reader
        self.writer = writer
        self.windows: list[Window] = []
        self.prices: list[Priced] = []

    def say(self, *messages: FromHost) -> None:
        for message in messages:
            self.writer.write(pack(message))

    async def hear(self) -> ToHost:
        size = size_of(await self._reader.readexactly(LENGTH.size))
        return decode_to_host(await self._reader.readexactly(size))


@asynccontextmanager
async def linked() -> AsyncIterator[Host]:
    ours, theirs = socket.socketpair()
    windows: list[Window] = []
    prices: list[Priced] = []
    link = await open_link(ours, on_window=windows.append, on_price=prices.append)
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    host = Host(link, reader, writer)
    host.windows = windows
    host.prices = prices
    host.say(Ready(controls=("one",)))
    await link.ready()
    running = asyncio.get_running_loop().create_task(link.run())
    try:
        yield host
    finally:
        link.close()
        await running
        writer.close()


def an_ask(link: HostLink) -> Ask:
    return Ask(
        call=link.number(),
        provider="one",
        model="m",
        temperature=None,
        max_output_tokens=1,
        request=generate(),
    )


async def test_a_call_goes_there_and_comes_back() -> None:
    async with linked() as host:
        assert host.link.controls == ("one",)
        ask = an_ask(host.link)
        stream = host.link.generate(ask)
        host.say(Piece(call=99, text="of a call that was dropped"))
        first = asyncio.get_running_loop().create_task(anext(stream))
        assert await host.hear() == ask
        host.say(Piece(call=ask.call, text="hi"), Whole(call=ask.call, answer=WHOLE))
        assert await first == Delta(call=3, text="hi")
        assert [event async for event in stream] == [WHOLE]
        host.say(Window(provider="one", model="m", tokens=5))
        await asyncio.sleep(0.01)
        assert host.windows == [Window(provider="one", model="m", tokens=5)]


async def test_pictures_are_let_go_when_they_are_sent() -> None:
    """Streams last for minutes: what they were asked with would stay in memory as long."""
    pictures = [Picture(f"fil_{number}", "image/png", b"x" * 10) for number in range(3)]
    async with linked() as host:
        ask = an_ask(host.link)
        stream = host.link.generate(ask, pictures)
        first = asyncio.get_running_loop().create_task(anext(stream))
        heard = [await host.hear() for _ in range(4)]
        assert [one.file for one in heard[:3] if isinstance(one, Show)] == [
            "fil_0", "fil_1", "fil_2",
        ]  # fmt: skip
        assert heard[3] == ask
        assert pictures == []
        host.say(Whole(call=ask.call, answer=WHOLE))
        assert await first == WHOLE


async def test_what_was_kept_is_said_before_the_answer_and_never_more_than_was_read() -> None:
    answer = Generated(call=3, entries=(), stop=Stop.END, input_tokens=10, output_tokens=2)
    async with linked() as host:
        ask = an_ask(host.link)
        stream = host.link.generate(ask)
        first = asyncio.get_running_loop().create_task(anext(stream))
        await host.hear()
        host.say(Whole(call=ask.call, answer=answer, cached_tokens=8, written_tokens=99))
        assert await first == Counted(10, 2, cached=8, written=2)
        assert [event async for event in stream] == [answer]


async def test_prices_are_handed_on_and_are_numbers_of_a_price() -> None:
    priced = Priced(provider="one", model="m", rates=FREE)
    async with linked() as host:
        host.say(priced)
        await asyncio.sleep(0.01)
        assert host.prices == [priced]
    with pytest.raises(ContractError):
        decode_from_host(pack(priced).replace(b"rates", b"ratez")[LENGTH.size :])
    negative = Tier(input=-1, output=0, cached=0, written=0)
    with pytest.raises(ContractError):
        decode_from_host(pack(Priced("one", "m", (negative,)))[LENGTH.size :])


async def test_a_failure_is_a_trouble() -> None:
    async with linked() as host:
        ask = an_ask(host.link)
        stream = host.link.generate(ask)
        first = asyncio.get_running_loop().create_task(anext(stream))
        await host.hear()
        host.say(Failure(ask.call, WireCode.BUSY, "word", "detail", 3.0, is_sick=True))
        with pytest.raises(ModelTrouble) as caught:
            await first

    trouble = caught.value
    assert (trouble.code, trouble.word, trouble.detail) == (WireCode.BUSY, "word", "detail")
    assert (trouble.retry_after_s, trouble.is_sick) == (3.0, True)


async def test_whoever_takes_gives_credit_and_whoever_leaves_says_so() -> None:
    async with linked() as host:
        ask = an_ask(host.link)
        stream = host.link.generate(ask)
        async with aclosing(stream):
            first = asyncio.get_running_loop().create_task(anext(stream))
            await host.hear()
            host.say(*(Piece(call=ask.call, text="x") for _ in range(CREDIT)))
            await first
            for _ in range(CREDIT // 2):
                await anext(stream)
            assert await host.hear() == More(call=ask.call, events=CREDIT // 2)
        assert await host.hear() == Drop(call=ask.call)


@pytest.mark.parametrize(
    "wrong",
    [
        LENGTH.pack(MAX_LINK_BYTES + 1),
        pack(Ready(controls=())),
        LENGTH.pack(3) + b"abc",
        b"".join(pack(Piece(call=1, text="x")) for _ in range(CREDIT + 3)),
    ],
    ids=["long", "twice", "noise", "flood"],
)
async def test_a_host_that_breaks_the_rules_is_over(wrong: bytes) -> None:
    async with linked() as host:
        stream = host.link.generate(an_ask(host.link))
        first = asyncio.get_running_loop().create_task(anext(stream))
        await host.hear()
        host.writer.write(wrong)
        with pytest.raises(ModelTrouble, match="ended"):
            await to_its_end(first, stream)
        assert host.link.is_over
        with pytest.raises(ModelTrouble):
            await anext(host.link.generate(an_ask(host.link)))


async def to_its_end(
    first: asyncio.Task[Delta | Generated], stream: AsyncIterator[Delta | Generated]
) -> None:
    await first
    async for _ in stream:
        await asyncio.sleep(0.05)


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else_is_raised(noise: bytes) -> None:
    for decode in (decode_to_host, decode_from_host):
        with contextlib.suppress(ContractError):
            decode(noise)
