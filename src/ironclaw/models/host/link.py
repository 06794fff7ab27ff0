"""The core's end of the link to a model host: calls by number, each with a bounded queue.

What the host may send of one call is bounded by credit (`messages.CREDIT`), so a consumer that is
slow holds up its own provider and nobody else's call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironclaw.core.log import get_logger
from ironclaw.domain.spending import Counted
from ironclaw.models.host.messages import (
    CREDIT,
    LENGTH,
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
    pack,
    size_of,
)
from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.codes import WireCode
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Delta

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Callable

    from ironclaw.domain.providers import Picture
    from ironclaw_contract.rpc import Generated

_log = get_logger("model-host")
_ENDED: Final = "The part of this house that speaks to model providers ended."
_Event = Piece | Whole | Failure


class HostLink:
    """One host's link. Made by `open_link`; `run` reads it until it ends.

    Args:
        reader: Frames of the host.
        writer: Frames to it.
        on_window: Told how much a model reads at once.
        on_price: Told what a model costs.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        on_window: Callable[[Window], None],
        on_price: Callable[[Priced], None] = lambda _priced: None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_window = on_window
        self._on_price = on_price
        self._calls: dict[int, asyncio.Queue[_Event | None]] = {}
        self._last = 0
        self.is_over = False
        """Nothing more can be asked of it."""
        self.controls: tuple[str, ...] = ()
        """Confinements that the host has said to be in force."""

    async def ready(self) -> None:
        """Wait until the host takes calls. Raises ModelTrouble."""
        message = await self._next()
        if not isinstance(message, Ready):
            self.close()
            raise ended("it did not become ready")
        self.controls = message.controls

    async def say(self, message: ToHost) -> None:
        """Send a frame. Raises ContractError (`TOO_LARGE`), ModelTrouble: the host has ended."""
        raw = pack(message)
        if self.is_over:
            raise ended("it has ended")
        try:
            self._writer.write(raw)
            await self._writer.drain()
        except OSError as error:
            self.close()
            raise ended(str(error)) from error

    async def run(self) -> None:
        """Hand what comes to the calls it belongs to, until the host ends; then end them all."""
        try:
            while (message := await self._next()) is not None:
                self._take(message)
        except ContractError as error:
            _log.error("model_host_broke_rules", code=error.code, why=str(error))
        finally:
            self.close()

    async def generate(
        self, ask: Ask, pictures: list[Picture] | None = None
    ) -> AsyncGenerator[Delta | Counted | Generated, None]:
        """Do one call: pieces, then the whole. Closing the generator ends it upstream.

        Args:
            ask: What is asked.
            pictures: Those of the pictures it names that the model is shown; taken out as they are
                sent, as a stream lasts for minutes and would hold megabytes of them.

        Raises:
            ModelTrouble: It came to nothing.
        """
        queue: asyncio.Queue[_Event | None] = asyncio.Queue(CREDIT + 2)
        self._calls[ask.call] = queue
        used = 0
        is_ended = False
        try:
            while pictures:
                one = pictures.pop(0)
                await self.say(Show(ask.call, one.file, one.media_type, one.data))
                del one
            await self.say(ask)
            while True:
                event = await queue.get()
                if event is None:
                    is_ended = True
                    raise ended("it ended during a call")
                if isinstance(event, Failure):
                    is_ended = True
                    if event.input_tokens or event.output_tokens:
                        yield Counted(event.input_tokens, event.output_tokens)
                    raise _trouble(event)
                if isinstance(event, Whole):
                    is_ended = True
                    if event.cached_tokens or event.written_tokens:
                        yield _counted(event)
                    yield event.answer
                    return
                yield Delta(call=ask.request.call, text=event.text, is_thought=event.is_thought)
                used += 1
                if used == CREDIT // 2:
                    await self.say(More(call=ask.call, events=used))
                    used = 0
        finally:
            del self._calls[ask.call]
            if not is_ended and not self.is_over:
                # Not awaited: whoever is being cancelled must not wait for the host.
                self._writer.write(pack(Drop(call=ask.call)))

    def number(self) -> int:
        """A call's number that was never used."""
        self._last += 1
        return self._last

    def close(self) -> None:
        """End the link; the host ends with it, and calls under way fail. Idempotent."""
        if self.is_over:
            return
        self.is_over = True
        self._writer.transport.abort()
        for queue in self._calls.values():
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def _take(self, message: FromHost) -> None:
        if isinstance(message, Window):
            self._on_window(message)
            return
        if isinstance(message, Priced):
            self._on_price(message)
            return
        if isinstance(message, Ready):
            raise ContractError(WireCode.MALFORMED, "said Ready twice")
        queue = self._calls.get(message.call)
        if queue is None:
            return  # dropped meanwhile
        try:
            queue.put_nowait(message)
        except asyncio.QueueFull:
            raise ContractError(WireCode.BUSY, "sends more than it may") from None

    async def _next(self) -> FromHost | None:
        try:
            size = size_of(await self._reader.readexactly(LENGTH.size))
            return decode_from_host(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            return None


async def open_link(
    sock: socket.socket,
    *,
    on_window: Callable[[Window], None],
    on_price: Callable[[Priced], None] = lambda _priced: None,
) -> HostLink:
    """Take the core's end of a fresh link; the socket is the link's from now on."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    return HostLink(reader, writer, on_window=on_window, on_price=on_price)


def _counted(whole: Whole) -> Counted:
    answer = whole.answer
    read = max(0, answer.input_tokens)
    cached = min(whole.cached_tokens, read)
    written = min(whole.written_tokens, read - cached)
    return Counted(read, max(0, answer.output_tokens), cached, written)


def ended(detail: str) -> ModelTrouble:
    """The host is gone; the next attempt finds a fresh one.

    It counts for the breaker: a request that kills every host it is put to is not put to many.
    """
    return ModelTrouble(WireCode.MODEL_UNAVAILABLE, _ENDED, detail=detail, is_sick=True)


def _trouble(failure: Failure) -> ModelTrouble:
    return ModelTrouble(
        failure.code,
        failure.word,
        detail=failure.detail,
        retry_after_s=failure.retry_after_s,
        is_sick=failure.is_sick,
        had_pictures=failure.had_pictures,
    )
