"""Starts the model host when it is first needed and when it has died; ends it with the core."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ironclaw
from ironclaw.config.providers import key_source
from ironclaw.core.log import get_logger
from ironclaw.models.host.link import HostLink, ended, open_link
from ironclaw.models.host.messages import Ask, Open, Quote
from ironclaw.models.key_files import KEYRING_VARIABLES
from ironclaw.models.provider import SEPARATOR
from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.records import ContractError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from ironclaw.config.providers import ProviderSettings
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.model import Thinking
    from ironclaw.domain.providers import Picture
    from ironclaw.domain.spending import Counted, Rates
    from ironclaw.models.host.messages import Priced, Window
    from ironclaw_contract.rpc import Delta, Generate, Generated

_log = get_logger("model-host")
_START_S: Final = 30.0
"""Seconds for a fresh host to be confined; nothing of a provider is loaded before it is asked."""
_END_S: Final = 2.0
_QUOTE_S: Final = 10.0
_ROOT: Final = str(Path(ironclaw.__file__).parent.parent)
# `-I` ignores the environment and the working directory; the code is the core's own.
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from ironclaw.models.host.process import main; main(int(sys.argv[2]))"
)
_FD: Final = 3
_PASSED: Final = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Variables without which some networks cannot be reached. Nothing else of the core's environment
goes to the host but what key sources name."""


class ModelHost:
    """The core's model host.

    Args:
        providers: Settings by name.
        environ: The core's environment.
        tasks: Owns the task that reads the link.
        hidden: Directories that the host shall not be able to reach.
        on_window: Told how many tokens a model reads at once, when that is found out.
    """

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        environ: Mapping[str, str],
        tasks: Tasks,
        *,
        hidden: Sequence[Path] = (),
        on_window: Callable[[str, int], None] | None = None,
    ) -> None:
        self._on_window = on_window
        self._providers = dict(providers)
        self._environment = environment(providers, environ)
        self._tasks = tasks
        self._hidden = tuple(map(str, hidden))
        self._lock = asyncio.Lock()
        self._link: HostLink | None = None
        self._pidfd = -1
        self.pid = 0
        """The process id of the newest host; 0 before the first."""
        self.windows: dict[tuple[str, str], int] = {}
        """Tokens that a model reads at once, by (provider, model), as far as it is known."""
        self._quoted: dict[tuple[str, str], asyncio.Future[Rates]] = {}

    async def generate(
        self,
        *,
        provider: str,
        model: str,
        temperature: float | None,
        max_output_tokens: int,
        request: Generate,
        thinking: Thinking | None = None,
        pictures: list[Picture] | None = None,
    ) -> AsyncGenerator[Delta | Counted | Generated, None]:
        """Do one attempt in the host, which is started if there is none.

        `pictures` are taken out of their list as they are sent.

        Raises:
            ModelTrouble: It came to nothing.
        """
        link = await self._ensure()
        ask = Ask(
            call=link.number(),
            provider=provider,
            model=model,
            temperature=temperature,
            max_output_tokens=max_output_tokens,
            thinking=thinking,
            request=request,
        )
        async with contextlib.aclosing(link.generate(ask, pictures)) as events:
            async for event in events:
                yield event

    async def quote(self, provider: str, model: str) -> Rates | None:
        """What a model costs as the library knows it, in USD: empty when it does not.

        None when the host could not be asked.
        """
        place = (provider, model)
        asked = self._quoted.get(place)
        try:
            async with asyncio.timeout(_QUOTE_S):
                link = await self._ensure()
                if asked is None or asked.done():
                    asked = self._quoted[place] = asyncio.get_running_loop().create_future()
                await link.say(Quote(provider=provider, model=model))
                return await asyncio.shield(asked)
        except (TimeoutError, ContractError, ModelTrouble) as error:
            _log.warning("price_not_known", provider=provider, why=str(error))
            return None
        finally:
            if self._quoted.get(place) is asked:
                self._quoted.pop(place)

    async def close(self) -> None:
        """End the host and wait until it is gone. Idempotent."""
        async with self._lock:
            await self._end()

    async def _ensure(self) -> HostLink:
        async with self._lock:
            if self._link is not None and not self._link.is_over:
                return self._link
            await self._end()
            try:
                async with asyncio.timeout(_START_S):
                    self._link = await self._start()
            except (TimeoutError, OSError, ContractError) as error:
                await self._end()
                _log.error("model_host_not_started", why=str(error) or type(error).__name__)
                raise ended(str(error)) from error
            except BaseException:
                await self._end()
                raise
            _log.info("model_host_started", pid=self.pid, controls=list(self._link.controls))
            return self._link

    async def _start(self) -> HostLink:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                self._spawn(theirs.fileno())
        except BaseException:
            ours.close()
            raise
        self._link = link = await open_link(ours, on_window=self._saw, on_price=self._priced)
        await link.say(Open(providers=self._providers, hidden=self._hidden))
        await link.ready()
        self._tasks.start(link.run(), name="model host")
        return link

    def _spawn(self, fd: int) -> None:
        argv = [sys.executable, "-I", "-c", _BOOT, _ROOT, str(_FD)]
        actions = [(os.POSIX_SPAWN_DUP2, fd, _FD)]
        if fd == _FD:  # dup2 onto itself keeps close-on-exec
            os.set_inheritable(_FD, True)
            actions = []
        self.pid = os.posix_spawn(sys.executable, argv, self._environment, file_actions=actions)
        self._pidfd = os.pidfd_open(self.pid)

    async def _end(self) -> None:
        link, self._link = self._link, None
        pidfd, self._pidfd = self._pidfd, -1
        if link is not None:
            link.close()
        if pidfd < 0:
            return
        try:
            if not await _is_gone(pidfd):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                await _is_gone(pidfd)
            with contextlib.suppress(ChildProcessError):
                await asyncio.to_thread(os.waitid, os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        finally:
            os.close(pidfd)

    def _saw(self, window: Window) -> None:
        if window.provider in self._providers and len(self.windows) < _MOST_WINDOWS:
            self.windows[window.provider, window.model] = window.tokens
            if self._on_window is not None:
                self._on_window(f"{window.provider}{SEPARATOR}{window.model}", window.tokens)

    def _priced(self, priced: Priced) -> None:
        asked = self._quoted.get((priced.provider, priced.model))
        if asked is not None and not asked.done():
            asked.set_result(priced.rates)


_MOST_WINDOWS: Final = 1024


def environment(
    providers: Mapping[str, ProviderSettings], environ: Mapping[str, str]
) -> dict[str, str]:
    """The host's environment: what key sources name, and what networks need."""
    wanted = set(_PASSED)
    for provider in providers.values():
        source = key_source(provider.key)
        if source is not None and source.kind == "env":
            wanted.add(source.name)
        elif source is not None and source.kind == "credential":
            wanted.add("CREDENTIALS_DIRECTORY")
        elif source is not None and source.kind == "keyring":
            wanted.update(KEYRING_VARIABLES)
    chosen = {name: environ[name] for name in sorted(wanted) if name in environ}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **chosen}


async def _is_gone(pidfd: int) -> bool:
    """Wait at most `_END_S` until the process has ended; return whether it has."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        async with asyncio.timeout(_END_S):
            await gone.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
    return True
