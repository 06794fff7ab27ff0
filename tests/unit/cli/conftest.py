"""The command line in directories of its own, and a real API server over the fake house."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.api.app import create_app
from ironclaw.api.server import serve
from ironclaw.api.tokens import ensure_first_token
from ironclaw.cli.main import run
from ironclaw.config.load import load_settings
from ironclaw.core.clock import SystemClock
from ironclaw.domain.model import Role
from ironclaw.testing.fake_house import FakeHouse, open_fake_house
from ironclaw.testing.fake_tokens import FakeTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    # Not tmp_path: the names of sockets must be short.
    place = Path(tempfile.mkdtemp(prefix="icl-"))
    monkeypatch.setenv("IRONCLAW_PATHS_STATE_DIR", str(place / "state"))
    monkeypatch.setenv("IRONCLAW_PATHS_RUNTIME_DIR", str(place / "run"))
    monkeypatch.setenv("IRONCLAW_API_TCP", "false")
    for name in ("state", "run"):
        (place / name).mkdir(mode=0o700)

    def call(*argv: str) -> tuple[int, str, str]:
        status = run(list(argv))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    yield call
    shutil.rmtree(place)


@pytest.fixture
def tokens() -> FakeTokens:
    """The tokens of `house`."""
    return FakeTokens(SystemClock())


@pytest.fixture
def loop() -> asyncio.AbstractEventLoop:
    """In which `house` runs; what is asked of it must be asked there."""
    return asyncio.new_event_loop()


@pytest.fixture
def house(cli: Any, tokens: FakeTokens, loop: asyncio.AbstractEventLoop) -> Iterator[FakeHouse]:
    """A server in a thread: the command line blocks, so the two cannot share a loop."""
    settings = load_settings()
    made: list[FakeHouse] = []
    ready = threading.Event()
    running: list[asyncio.Task[None]] = []

    async def main() -> None:
        async with open_fake_house(SystemClock()) as fake:
            fake.add_agent("demo")
            made.append(fake)

            async def ensure_owner(principal: str) -> None:
                fake.give(principal, Role.OWNER)

            await ensure_first_token(tokens, settings.token_file, ensure_owner=ensure_owner)
            app = create_app(fake, tokens, settings)
            running.append(asyncio.current_task())  # type: ignore[arg-type] - we are in a task
            await serve(app, settings, ready=lambda _where: ready.set())

    def work() -> None:
        try:
            loop.run_until_complete(main())
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    yield made[0]
    loop.call_soon_threadsafe(running[0].cancel)
    thread.join(10)
    assert not thread.is_alive()
