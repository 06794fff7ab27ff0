"""`ironclaw change`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
import typer

from ironclaw.cli import cards, render
from ironclaw.cli.nouns.changing import ask_for, show_card, tell
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.options import ChangeArgument, For, Json, Reason, Yes, seconds
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.cards import Card

MAX_FILE_BYTES: Final = 256 * 1024
_SILENCE_S: Final = 3600.0

change_app = typer.Typer(
    help="Changes: list, show, submit, withdraw, retry, watch.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
SpecArgument = Annotated[
    str,
    typer.Argument(
        metavar="JSON", help="The change as JSON; `@FILE` reads a file, `-` standard input."
    ),
]


@change_app.command("list")
def change_list(
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Newest shown.")] = 100,
    as_json: Json = False,
) -> None:
    """List changes, newest first."""
    query = {"state": "all" if every else "open", "limit": limit}
    with daemon() as client:
        found = client.get("v1", "changes", query=urlencode(query | _only(agent)))
    if as_json:
        render.data(found)
        return
    render.table(
        ("CHANGE", "KIND", "STATUS", "ASKED BY", "ASKED", "EXPIRES", "WHAT"),
        [
            (
                view["row"]["change"]["id"],
                view["row"]["change"]["spec"]["kind"],
                view["row"]["status"],
                view["card"]["asker"],
                when(view["row"]["change"]["created_ms"]),
                when(view["row"]["change"]["expires_ms"]),
                view["card"]["title"],
            )
            for view in found["changes"]
        ],
        fit=True,
    )


@change_app.command("show")
def changeshow(change: ChangeArgument, *, as_json: Json = False) -> None:
    """Show the card of a change, and where it is."""
    with daemon() as client:
        view = client.get("v1", "changes", change)
    if as_json:
        render.data(view)
        return
    show_card(view)
    row = view["row"]
    for one in row["decisions"]:
        said = "approved" if one["approved"] else "denied"
        own = ", their own request" if one["is_own"] else ""
        who = one["principal"] or "the policy"
        because = f": {one['words']}" if one["words"] else ""
        render.line(f"{when(one['at_ms'])} {said} by {who}{own}{because}", tone="dim")
    if row["grant"]:
        render.line(f"gave {row['grant']['id']}", tone="dim")
    tell(view | {"row": row | {"status": row["status"]}}, as_json=False)


@change_app.command("diff")
def change_diff(
    spec: SpecArgument, *, reason: Reason = "", lasts: For = None, as_json: Json = False
) -> None:
    """Show the card that a change would have; nothing is asked for."""
    body = {"change": _read(spec), "reason": reason, "grant_s": seconds(lasts), "despite": None}
    with daemon() as client:
        card = client.call("POST", "v1", "changes", "preview", body=body)
    if as_json:
        render.data(card)
        return
    cards.show(msgspec.convert(card, Card))


@change_app.command("submit")
def change_submit(
    spec: SpecArgument,
    *,
    reason: Reason = "",
    lasts: For = None,
    despite: Annotated[
        str | None, typer.Option(help="Id of a denied change that this sets aside.")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for a change of any kind."""
    ask_for(_read(spec), reason=reason, lasts=lasts, despite=despite, yes=yes, as_json=as_json)


@change_app.command("withdraw")
def change_withdraw(change: ChangeArgument, *, as_json: Json = False) -> None:
    """Take a request back."""
    _act(change, "withdraw", as_json=as_json)


@change_app.command("retry")
def change_retry(change: ChangeArgument, *, as_json: Json = False) -> None:
    """Try an approved change again that could not be applied."""
    _act(change, "retry", as_json=as_json)


@change_app.command("watch")
def change_watch(
    *,
    after: Annotated[int | None, typer.Option(min=0, help="Begin after this event.")] = None,
    as_json: Json = False,
) -> None:
    """Follow what happens to changes, until interrupted."""
    with daemon() as client:
        for event in client.stream("v1", "changes", "events", after=after, timeout_s=_SILENCE_S):
            if as_json:
                render.data(event.data)
                continue
            view = event.data["view"]
            render.line(
                f"{when(event.data['at_ms'])} {event.kind} {event.data['change']}"
                f" ({view['row']['change']['spec']['kind']}): {view['card']['title']}"
            )


def _act(change: str, verb: str, *, as_json: bool) -> None:
    with daemon() as client:
        tell(client.call("POST", "v1", "changes", change, verb), as_json=as_json)


def _only(agent: str | None) -> dict[str, str]:
    return {} if agent is None else {"agent": agent}


def _read(argument: str) -> dict[str, Any]:
    """The spec that an argument names. Raises UserError (`INVALID`, `TOO_LARGE`)."""
    text = argument
    if argument == "-":
        text = sys.stdin.read(MAX_FILE_BYTES + 1)
    elif argument.startswith("@"):
        try:
            with Path(argument[1:]).open(encoding="utf-8") as file:
                text = file.read(MAX_FILE_BYTES + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                Code.INVALID,
                f"{argument[1:]} cannot be read.",
                hint="Name a file that has one JSON object in UTF-8.",
            ) from error
    if len(text) > MAX_FILE_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"The change has over {MAX_FILE_BYTES} characters.",
            hint="Nobody could look at it: split it.",
        )
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            Code.INVALID,
            "The change is not JSON.",
            hint="""For example '{"kind": "tools", "agent": "demo", "add": ["clock"]}'.""",
        ) from error
    if not isinstance(spec, dict):
        raise UserError(
            Code.INVALID, "The change is not an object.", hint="Write {…} with a `kind`."
        )
    return spec
