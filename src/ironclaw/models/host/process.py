"""The model host's main: confined first, then it takes calls until the link ends.

main:  confine -> a stderr without keys -> link -> Open -> Ready -> Ask … -> the core is gone -> end
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from ironclaw.config.providers import key_source
from ironclaw.core import log
from ironclaw.core.clock import SystemClock
from ironclaw.core.tasks import Tasks
from ironclaw.models.host.confine import confine
from ironclaw.models.host.messages import (
    LENGTH,
    Ask,
    Drop,
    Failure,
    FromHost,
    More,
    Open,
    Priced,
    Quote,
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
from ironclaw.models.host.out_of_reach import put_out_of_reach
from ironclaw.models.host.redact import CleanStream, Redactor
from ironclaw.models.key_files import KEYRING_VARIABLES, NoKeyError, read_key
from ironclaw_contract.codes import WireCode
from ironclaw_contract.records import ContractError

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from ironclaw.config.providers import ProviderSettings
    from ironclaw.domain.spending import Rates
    from ironclaw.models.host.calls import Call

_log = log.get_logger("model-host")
_MOST_MODELS: Final = 256
_KEY_S: Final = 20.0
OUT_OF_REACH: Final = "state-out-of-reach"


class Host:
    """Takes calls off the link and carries them out.

    Args:
        reader: Frames of the core.
        writer: Frames to it.
        redactor: Learns the keys.
        tasks: Owns the calls.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        redactor: Redactor,
        tasks: Tasks,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._redactor = redactor
        self._tasks = tasks
        self._providers: dict[str, ProviderSettings] = {}
        self._environ: dict[str, str] = {}
        self._models: dict[tuple[str, str], Model[Any]] = {}
        self._making: dict[tuple[str, str], asyncio.Lock] = {}
        self._calls: dict[int, Call] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._shown: dict[int, dict[str, Show]] = {}
        """Pictures of calls that are to come."""

    async def serve(self, controls: tuple[str, ...]) -> None:
        """Serve until the core is gone. Raises ContractError: the core broke the link's rules."""
        opening = await self._next()
        if not isinstance(opening, Open):
            return
        self._providers = opening.providers
        sources = (key_source(provider.key) for provider in self._providers.values())
        has_keyring = any(source is not None and source.kind == "keyring" for source in sources)
        self._environ = take_environment(has_keyring=has_keyring)
        # Before there is a second thread, and before anything of a provider is loaded.
        with contextlib.suppress(OSError):
            put_out_of_reach(opening.hidden)
            controls = (*controls, OUT_OF_REACH) if opening.hidden else controls
        await self._say(Ready(controls=controls))
        while (message := await self._next()) is not None:
            self._take(message)

    def _take(self, message: ToHost) -> None:
        match message:
            case Show():
                self._shown.setdefault(message.call, {})[message.file] = message
            case Ask():
                task = self._tasks.start(self._run(message), name=f"call {message.call}")
                self._running[message.call] = task
                task.add_done_callback(functools.partial(self._forget, message.call))
            case More(call=number, events=events):
                if (call := self._calls.get(number)) is not None:
                    call.more(events)
            case Drop(call=number):
                self._shown.pop(number, None)
                if (running := self._running.get(number)) is not None:
                    running.cancel()
            case Quote():
                self._tasks.start(self._quote(message), name="quote")
            case Open():
                raise ContractError(WireCode.MALFORMED, "said Open twice")

    async def _run(self, ask: Ask) -> None:
        try:
            await self._do(ask)
        except Exception:  # a fault of ours: the core waits for an end all the same
            text = "The model call failed on the host."
            await self._say(Failure(call=ask.call, code=WireCode.INTERNAL, word=text))
            raise

    async def _do(self, ask: Ask) -> None:
        # The libraries are loaded with the first call.
        from ironclaw.models.host.calls import Call  # noqa: PLC0415

        shown = self._shown.pop(ask.call, {})
        call = self._calls[ask.call] = Call(ask, self._say, self._redactor, shown)
        settings = self._providers.get(ask.provider)
        if settings is None:
            await self._refuse(ask, "is not configured", "")
            return
        try:
            model = await self._model(settings, ask)
        except NoKeyError as error:
            await self._refuse(ask, "has no key that can be used: see `ironclaw model list`", error)
            return
        except Exception as error:  # noqa: BLE001 - the edge to the providers' libraries
            await self._refuse(ask, "cannot be used as it is configured; the log says why", error)
            return
        await call.run(model)
        if call.is_refused_key:
            # A better key in its file is taken at the next call.
            for known in [known for known in self._models if known[0] == ask.provider]:
                del self._models[known]

    async def _refuse(self, ask: Ask, why: str, error: object) -> None:
        await self._say(
            Failure(
                call=ask.call,
                code=WireCode.MODEL_REFUSED,
                word=f"The model provider {ask.provider} {why}.",
                detail=self._redactor.for_logs(f"{type(error).__name__}: {error}")[:1000],
            )
        )

    async def _model(self, settings: ProviderSettings, ask: Ask) -> Model[Any]:
        from ironclaw.models.host.table import make  # noqa: PLC0415

        place = (ask.provider, ask.model)
        async with self._making.setdefault(place, asyncio.Lock()):
            if (known := self._models.get(place)) is not None:
                return known
            # Before the key is used anywhere: no error of a library can hold it then.
            key = await _key(settings, self._environ)
            self._redactor.learn(key)
            for header in settings.headers.values():
                self._redactor.learn_from(header)
            model = await asyncio.to_thread(make, settings, key, ask.model, self._redactor.learn)
            if len(self._models) >= _MOST_MODELS:
                self._models.clear()
            self._models[place] = model
            self._tasks.start(self._window(settings, key, ask, model), name="window")
            return model

    async def _window(
        self, settings: ProviderSettings, key: str, ask: Ask, model: Model[Any]
    ) -> None:
        """Tell how much a model reads at once, as far as anybody knows."""
        from ironclaw.models.host.windows import ask_server  # noqa: PLC0415

        tokens: int | None = None
        if settings.kind == "openai-compatible":
            tokens = await ask_server(settings, key, ask.model)
        tokens = tokens or settings.context_tokens or model.context_window
        if tokens:
            await self._say(Window(provider=ask.provider, model=ask.model, tokens=tokens))

    async def _quote(self, quote: Quote) -> None:
        from ironclaw.models.host.prices import look_up  # noqa: PLC0415

        settings = self._providers.get(quote.provider)
        now_ms = SystemClock().now_ms()
        rates: Rates = ()
        if settings is not None:
            rates = await asyncio.to_thread(look_up, settings, quote.model, now_ms)
        await self._say(Priced(provider=quote.provider, model=quote.model, rates=rates))

    def _forget(self, call: int, _task: asyncio.Task[None]) -> None:
        self._running.pop(call, None)
        self._calls.pop(call, None)

    async def _say(self, message: FromHost) -> None:
        try:
            raw = pack(message)
            if isinstance(message, Whole):
                # A provider made it up. One answer that breaks the rules must not end the link, and
                # with it the calls of everybody else.
                decode_from_host(raw[LENGTH.size :])
        except (ContractError, UnicodeEncodeError, OverflowError):
            if isinstance(message, Ready | Window | Priced):
                return
            text = "The model's answer is too large, or none that an agent could read."
            raw = pack(Failure(call=message.call, code=WireCode.TOO_LARGE, word=text))
        self._writer.write(raw)
        await self._writer.drain()

    async def _next(self) -> ToHost | None:
        try:
            size = size_of(await self._reader.readexactly(LENGTH.size))
            return decode_to_host(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            return None


async def _key(settings: ProviderSettings, environ: dict[str, str]) -> str:
    try:
        # A keyring may want a person to open it.
        async with asyncio.timeout(_KEY_S):
            return await asyncio.to_thread(read_key, settings, environ)
    except TimeoutError:
        raise NoKeyError("its source does not answer") from None


def take_environment(*, has_keyring: bool = False) -> dict[str, str]:
    """Move the environment out of reach of libraries, which would look for keys of their own.

    Args:
        has_keyring: A key is in the user's keyring: how to find that stays.
    """
    kept = {*_KEPT, *KEYRING_VARIABLES} if has_keyring else _KEPT
    taken = dict(os.environ)
    for name in taken:
        if not name.upper().endswith("_PROXY") and name not in kept:
            del os.environ[name]
    return taken


_KEPT: Final = frozenset({"PATH", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR"})


async def _main(sock: socket.socket, redactor: Redactor, controls: tuple[str, ...]) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    async with Tasks("model-host", on_failure=_failed) as tasks:
        await Host(reader, writer, redactor, tasks).serve(controls)


def _failed(name: str, error: BaseException) -> None:
    # A core that is gone reads no answers: that is how every host ends.
    if not isinstance(error, OSError):
        _log.error("task_failed", task=name, exc_info=error)


def main(fd: int) -> None:
    """Be the model host on an inherited socket."""
    controls = confine()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the core's end is ours
    redactor = Redactor()
    clean = cast("TextIO", CleanStream(sys.stderr, redactor))
    sys.stderr = clean
    warnings.simplefilter("ignore")
    log.configure(form="json", sink=clean)
    asyncio.run(_main(socket.socket(fileno=fd), redactor, controls))
    # Threads of a library that waits for a provider are not waited for.
    os._exit(0)
