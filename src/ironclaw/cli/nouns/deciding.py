"""`ironclaw approve` and `ironclaw reject`."""

from __future__ import annotations

import sys

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import agreed, decide, show_card, tell
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


def _decide(change: str, *, approve: bool, yes: bool, because: str, as_json: bool) -> None:
    with daemon() as client:
        view = client.get("v1", "changes", change)
        if not as_json:
            show_card(view)
        if view["row"]["status"] == "pending" and not view["may_decide"]:
            raise PolicyError(
                Code.FORBIDDEN,
                view["why_not"] or "It is not yours to decide.",
                hint=f"It needs: {' or '.join(view['deciders'])}. `ironclaw me` shows who you are.",
            )
        if not yes:
            if not sys.stdin.isatty():
                raise UserError(
                    Code.INVALID,
                    "Nobody is there to ask.",
                    hint="On a terminal you are asked; with --yes the card is shown and decided.",
                )
            if not agreed("Approve this? [y/N] " if approve else "Reject this? [y/N] "):
                render.note("Nothing was decided.")
                return
        view = decide(client, view, approve=approve, words=because)
    tell(view, as_json=as_json)
