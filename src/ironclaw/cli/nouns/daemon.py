"""What the nouns share: the daemon for one command, and how its answers are shown."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ironclaw.cli import render
from ironclaw.cli.client import Client
from ironclaw.cli.options import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def daemon() -> Iterator[Client]:
    """The daemon, for one command."""
    client = Client(settings())
    try:
        yield client
    finally:
        client.close()


def when(at_ms: int | None) -> str:
    """A time for people, in UTC."""
    if not at_ms:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def show(value: dict[str, object], *, as_json: bool) -> None:
    """Show one object."""
    if as_json:
        render.data(value)
    else:
        render.fields(value)


def done(what: str, which: str, *, as_json: bool) -> None:
    """Say that something without a result was done."""
    if as_json:
        render.data({what: which})
    else:
        render.line(f"{what} {which}")
