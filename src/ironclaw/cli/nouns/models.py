"""`ironclaw model`."""

from __future__ import annotations

from typing import Any

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon
from ironclaw.cli.options import Json

model_app = typer.Typer(
    help="Model providers: which there are, whether they have their keys.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@model_app.callback()
def model() -> None:
    """Model providers: which there are, whether they have their keys."""


@model_app.command("list")
def model_list(*, as_json: Json = False) -> None:
    """List model providers. Never shows a key."""
    with daemon() as client:
        found = client.get("v1", "providers")
    if as_json:
        render.data(found)
        return
    render.table(
        ("PROVIDER", "KIND", "KEY", "CONTEXT, TOKENS"),
        [(one["name"], one["kind"], _key(one), _context(one)) for one in found["providers"]],
    )


def _key(one: dict[str, Any]) -> str:
    return f"missing: {one['problem']}" if one["problem"] else str(one["key"])


def _context(one: dict[str, Any]) -> str:
    known = [f"{name} {tokens}" for name, tokens in sorted(one["models"].items())]
    if one["context_tokens"] is not None:
        known.append(f"others {one['context_tokens']}")
    return ", ".join(known) or "-"
