"""`ironclaw approve` and `ironclaw reject`."""

from __future__ import annotations

from typing import Any

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import WORDS, agreed, decide, show_card, tell
from ironclaw.cli.nouns.daemon import daemon
from ironclaw.cli.options import Because, ChangeArgument, Json, Sure
from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError


def approve(
    change: ChangeArgument, *, yes: Sure = False, because: Because = "", as_json: Json = False
) -> None:
    """Look at a change and say yes to it. What was shown is what is approved, or nothing is."""
    _decide(change, approve=True, yes=yes, because=because, as_json=as_json)


def reject(
    change: ChangeArgument, *, yes: Sure = False, because: Because = "", as_json: Json = False
) -> None:
    """Look at a change and say no to it. The same request is refused by itself from then on."""
    _decide(change, approve=False, yes=yes, because=because, as_json=as_json)


def _check_way(change: str, *, yes: bool, as_json: bool) -> None:
    """Raises UserError (`INVALID`) where a person could say yes to what they do not see."""
    if yes or (render.is_seen() and not as_json):
        return
    if as_json:
        raise UserError(
            Code.INVALID,
            "--json shows no card and asks nobody, so it needs --yes.",
            hint=f"Look at it first: `ironclaw change show {change}`.",
        )
    raise UserError(
        Code.INVALID,
        "Nobody is there to see the card and to be asked.",
        hint="On a terminal you are asked; with --yes the card is shown and decided.",
    )


def _check_open(view: dict[str, Any], *, approve: bool) -> None:
    """Refuse what nobody can answer so now. Raises UserError (`CONFLICT`), PolicyError."""
    row = view["row"]
    name = row["change"]["id"]
    if row["status"] != "pending":
        raise UserError(
            Code.CONFLICT,
            f"{name} waits for no decision: it is {WORDS.get(row['status'], row['status'])}.",
            hint=f"`ironclaw change show {name}` tells what became of it.",
        )
    if not view["may_decide"]:
        raise PolicyError(
            Code.FORBIDDEN,
            view["why_not"] or "It is not yours to decide.",
            hint=f"It needs: {' or '.join(view['deciders'])}. `ironclaw me` shows who you are.",
        )
    if approve and view["not_yet"]:
        raise UserError(
            Code.CONFLICT,
            f"{name} cannot be approved as things are. {view['not_yet']}",
            hint=f"{view['way_on']} Or say no to it: `ironclaw reject {name}`.".lstrip(),
        )


def _decide(change: str, *, approve: bool, yes: bool, because: str, as_json: bool) -> None:
    with daemon() as client:
        view = client.get("v1", "changes", change)
        if approve and view["row"]["status"] == "overtaken":
            # What they would say yes to is so, or can never be: no failure of theirs.
            tell(view, as_json=as_json)
            return
        _check_open(view, approve=approve)
        # Last: where nothing is left to decide, nobody has to be there to see it.
        _check_way(change, yes=yes, as_json=as_json)
        if not as_json:
            show_card(view)
        question = "Approve this? [y/N] " if approve else "Reject this? [y/N] "
        other = (
            f"`ironclaw reject {change}` says no to it."
            if approve
            else f"`ironclaw approve {change}` says yes to it."
        )
        if not yes and not agreed(view, question, otherwise=other):
            return
        view = decide(client, view, approve=approve, words=because)
    tell(view, as_json=as_json)
