"""`ironclaw up`, `down`, `status`, `logs`."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ironclaw.cli import launch, render
from ironclaw.cli.client import not_running
from ironclaw.cli.log_lines import in_words, parse_line
from ironclaw.cli.nouns.daemon import readable
from ironclaw.cli.options import Json, chosen, of_running_house
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.config.settings import Settings

_TAIL_BYTES = 256 * 1024
_FOLLOW_S = 0.2


def up(
    *,
    foreground: Annotated[bool, typer.Option(help="Stay in this terminal.")] = False,
    as_json: Json = False,
) -> None:
    """Start the daemon; build the image first if there is none."""
    mine, config = chosen()
    launch.claim_directories(mine)
    from ironclaw.sandbox.keeper import keeper_argv, keeper_status  # noqa: PLC0415 - heavy

    if keeper_status(mine.runtime_dir) is not None:
        raise UserError(
            Code.ALREADY_RUNNING,
            "The daemon is running already.",
            hint="`ironclaw status` shows how it does; `ironclaw down` stops it.",
        )
    is_new = not (mine.state_dir / "store.db").exists()
    began = time.monotonic()
    asyncio.run(launch.have_image(mine))
    environment = launch.core_environment(mine, config)
    if foreground:
        argv = keeper_argv(
            launch.core_argv(),
            state_dir=mine.state_dir,
            runtime_dir=mine.runtime_dir,
            visible=mine.gateway.mount_roots,
        )
        os.execve(argv[0], argv, environment)  # noqa: S606 - our own program, no shell
    if not as_json:
        render.note("Starting the daemon …")
    keeper = launch.start(mine, environment)
    told = _where(mine) | {"pid": keeper.pid, "took_ms": round(1000 * (time.monotonic() - began))}
    if as_json:
        render.data(told)
        return
    render.line(f"IronClaw is up (keeper {keeper.pid}).", tone="good")
    render.fields(_where(mine))
    if is_new:
        first = launch.FIRST_AGENT
        render.note(f"A new house has one agent, `{first}`, to try things out with.")
        render.note(
            f'Say something: ironclaw chat {first} "hello"; your own: ironclaw agent create'
        )
    else:
        render.note('Say something: ironclaw chat AGENT "hello" (agents: ironclaw agent list)')


def down(*, as_json: Json = False) -> None:
    """Stop the daemon and every sandbox; nothing is lost, the next start goes on."""
    was_running = launch.stop(of_running_house())
    if as_json:
        render.data({"stopped": was_running})
    else:
        render.line("IronClaw is down." if was_running else "IronClaw was not running.")


def status(*, as_json: Json = False) -> None:
    """Show how the daemon does."""
    mine = of_running_house()
    found = launch.health(mine)
    if as_json:
        render.data(found | _where(mine))
        return
    ready = found["ready"]
    render.line("ready" if ready else "not ready", tone="good" if ready else "bad")
    said = {"ready", "degraded", "core_rss_bytes", "frozen_boxes"}
    said |= {"pending_changes", "overdue_changes"}
    shown = readable({key: value for key, value in found.items() if key not in said})
    if found["frozen_boxes"]:
        shown["boxes"] = f"{found['boxes']} ({found['frozen_boxes']} frozen: nothing to do)"
    late = f" ({found['overdue_changes']} overdue)" if found["overdue_changes"] else ""
    shown["changes_waiting"] = f"{found['pending_changes']}{late}"
    shown["core_rss"] = f"{found['core_rss_bytes'] / 2**20:.0f} MiB"
    render.fields(shown | _where(mine))
    for text in found["degraded"]:
        render.edge(f"weaker: {text}", tone="warn")


def logs(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay and show more.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Newest lines shown.")] = 100,
    as_json: Json = False,
) -> None:
    """Show what the daemon wrote."""
    path = of_running_house().log_file
    if not path.is_file():
        raise not_running()
    text, position = _tail(path)
    newest = text.splitlines()[-lines:] if lines else []
    if as_json:
        render.data({"path": str(path), "lines": [parse_line(one) for one in newest]})
        return
    for one in newest:
        render.line(in_words(one))
    while follow:
        with path.open("rb") as file:
            file.seek(position)
            more = file.read()
        position += len(more)
        for one in more.decode("utf-8", "replace").splitlines():
            render.line(in_words(one))
        time.sleep(_FOLLOW_S)


def _tail(path: Path) -> tuple[str, int]:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        raw = file.read(_TAIL_BYTES)
    return raw.decode("utf-8", "replace"), size


def _where(mine: Settings) -> dict[str, Any]:
    api = mine.api
    # Which port the system has chosen for 0, only the daemon knows; the socket is always there.
    has_address = api.tcp and api.port != 0
    return {
        "state_dir": str(mine.state_dir),
        "runtime_dir": str(mine.runtime_dir),
        "api": f"http://{api.host}:{api.port}" if has_address else f"unix:{mine.api_socket}",
        "log": str(mine.log_file),
    }
