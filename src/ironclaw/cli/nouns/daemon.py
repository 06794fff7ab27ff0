"""What the nouns share: the daemon for one command, and how its answers are shown."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeGuard

from ironclaw.cli import render
from ironclaw.cli.client import Client
from ironclaw.cli.options import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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


def readable(values: Mapping[str, object]) -> dict[str, object]:
    """The fields of an object as people read them: times as times, no brackets."""
    return {
        name.removesuffix("_ms"): when(value) if _is_time(value, name) else _in_words(value)
        for name, value in values.items()
    }


def _is_time(value: object, name: str) -> TypeGuard[int | None]:
    return name.endswith("_ms") and (value is None or isinstance(value, int))


def _in_words(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{name} {one}" for name, one in value.items()) or "-"
        case list():
            return ", ".join(map(str, value)) or "-"
        case None | "":
            return "-"
    return str(value)


def show(value: dict[str, object], *, as_json: bool) -> None:
    """Show one object."""
    if as_json:
        render.data(value)
    else:
        render.fields(readable(value))


def done(what: str, which: str, *, as_json: bool) -> None:
    """Say that something without a result was done."""
    if as_json:
        render.data({what: which})
    else:
        render.line(f"{what} {which}")
