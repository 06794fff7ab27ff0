"""`ironclaw grant`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.options import Because, Json
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

grant_app = typer.Typer(
    help="Grants: what applied changes gave. List them, take them back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@grant_app.command("list")
def grant_list(
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    as_json: Json = False,
) -> None:
    """List grants, newest first."""
    query = {"state": "all" if every else "active"} | ({} if agent is None else {"agent": agent})
    with daemon() as client:
        found = client.get("v1", "grants", query=urlencode(query))
    if as_json:
        render.data(found)
        return
    render.table(
        ("GRANT", "EXPIRES", "STATE", "WHAT"),
        [
            (one["grant"]["id"], _expires(one["grant"]), _state(one), one["title"])
            for one in found["grants"]
        ],
        fit=True,
    )


def _expires(grant: dict[str, Any]) -> str:
    return when(grant["expires_ms"])[: len("2026-01-01 00:00")] if grant["expires_ms"] else "never"


def _state(view: dict[str, Any]) -> str:
    """Whether what was given is in force, in a word."""
    return view["grant"]["ended_why"] or ("active" if view["is_left"] else "gone")


@grant_app.command("revoke")
def grant_revoke(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Id of a grant.")],
    *,
    because: Because = "",
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Take it back without being asked; what that does is shown."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Take back what a change gave, at once, also in running boxes."""
    with daemon() as client:
        if not yes:
            _check_seen(as_json=as_json)
        if not as_json:
            found = client.get("v1", "grants", query=urlencode({"state": "active"}))["grants"]
            known = next((one for one in found if one["grant"]["id"] == grant), None)
            # Of one that is not there, or cannot be taken back, the gateway says why.
            if known is not None and known["way_back"]:
                _show(known)
                if not yes and not _agreed():
                    render.note(f"Nothing was taken back: {grant} stays.")
                    return
        view = client.call("POST", "v1", "grants", grant, "revoke", body={"words": because})
    if as_json:
        render.data(view)
        return
    render.line(f"revoked {grant}: {view['title']}")


def _show(view: dict[str, Any]) -> None:
    """Show what a grant gave, and what taking it back does."""
    render.line(f"It gave: {view['title']}")
    render.line(f"Taking it back does, at once: {view['way_back']}", tone="warn")


def _agreed() -> bool:
    """Whether a person wants what they were shown."""
    return (render.ask("Take it back? [y/N] ") or "").strip().lower() in {"y", "yes"}


def _check_seen(*, as_json: bool) -> None:
    """Raises UserError (`INVALID`) where nobody sees what they would say yes to."""
    if as_json or not render.is_seen():
        raise UserError(
            Code.INVALID,
            "Nobody is there to see what that does, and to be asked.",
            hint="On a terminal you are asked; `ironclaw grant list --json` says it as `way_back`,"
            " and --yes takes it back.",
        )
