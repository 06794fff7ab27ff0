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
from ironclaw.cli.options import ChangeArgument, Despite, For, Json, Reason, Yes, seconds
from ironclaw.core.clock import SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.cards import Card
from ironclaw.domain.principals import HOUSE_CHANNEL, channel_of

MAX_FILE_BYTES: Final = 256 * 1024
_SILENCE_S: Final = 3600.0
_OVERDUE: Final = "overdue"
_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60))
_EVENTS: Final = {
    "applied": "applied",
    "done": "in force",
    "failed": "failed",
    "expired": "expired, as nobody decided",
    "escalated": "overdue",
    "withdrawn": "withdrawn",
    "overtaken": "overtaken: nothing was left to do",
    "grant_expired": "expired, as its time is over",
    "replaced": "replaced by another change",
}

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
        ("CHANGE", "STATUS", "DECIDE WITHIN", "ASKED BY", "WHAT"),
        [
            (
                view["row"]["change"]["id"],
                _status(view["row"]),
                _left(view["row"]),
                _asker(view),
                view["card"]["title"],
            )
            for view in found["changes"]
        ],
        fit=True,
    )
    if any(_status(view["row"]) == _OVERDUE for view in found["changes"]):
        render.note(f"{_OVERDUE}: it waits for longer than `ironclaw policy show` says it should.")
    stuck: dict[str, list[str]] = {}
    for view in found["changes"]:
        if view["not_yet"]:
            stuck.setdefault(view["not_yet"], []).append(view["row"]["change"]["id"])
    for why, names in stuck.items():
        render.note(f"Not to be approved as things are: {', '.join(names)}. {why}", tone="warn")


def _asker(view: dict[str, Any]) -> str:
    """Who asks, by a name that people know; which agent the house asks for, the change says."""
    principal = PrincipalId(view["row"]["change"]["asker"]["principal"])
    if channel_of(principal) == HOUSE_CHANNEL:
        return "the house"
    return view["asker_name"] or principal


def _status(row: dict[str, Any]) -> str:
    """Where a change is, in one word."""
    if row["status"] == "pending" and row["escalated"]:
        return _OVERDUE
    if row["grant"] is not None and row["grant"]["ended_why"]:
        return str(row["grant"]["ended_why"])
    return str(row["status"])


def _left(row: dict[str, Any]) -> str:
    """How long it can still be decided on, to the nearest: `7d`, `5h`, `12m`."""
    if row["status"] != "pending":
        return "-"
    left_s = max(0, row["change"]["expires_ms"] - SystemClock().now_ms()) // 1000
    unit, size = next((one for one in _UNITS if left_s >= one[1]), ("s", 1))
    return f"{(left_s + size // 2) // size}{unit}"


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
        until = row["grant"]["expires_ms"]
        ends = f", until {when(until)}" if until else ""
        render.line(f"gave {row['grant']['id']}{ends}", tone="dim")
    tell(view, as_json=False)


@change_app.command("diff")
def change_diff(
    spec: SpecArgument,
    *,
    reason: Reason = "",
    lasts: For = None,
    despite: Despite = None,
    as_json: Json = False,
) -> None:
    """Show the card that a change would have; nothing is asked for."""
    body = {"change": _read(spec), "reason": reason, "grant_s": seconds(lasts), "despite": despite}
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
    despite: Despite = None,
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
            render.line(
                f"{when(event.data['at_ms'])} {event.data['change']} {happened(event.data)}: "
                f"{event.data['view']['card']['title']}"
            )


def happened(event: dict[str, Any]) -> str:
    """What has happened to a change, and by whom, in a few words."""
    view = event["view"]
    row, kind = view["row"], event["kind"]
    # An event and what was decided in it are of the same moment.
    said = next((one for one in row["decisions"] if one["at_ms"] == event["at_ms"]), None)
    if kind in {"decided", "denied"} and said is not None:
        word = "approved" if said["approved"] else "denied"
        return f"{word} by {said['principal'] or 'the policy'}"
    if kind == "requested":
        return f"asked for by {_asker(view)}"
    if kind == "revoked" and row["grant"] is not None:
        return f"taken back by {row['grant']['ended_by']}"
    return _EVENTS.get(kind, str(kind))


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
