"""`ironclaw grant`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.options import Because, Json

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
        ("GRANT", "AGENT", "WHAT", "GIVEN", "EXPIRES", "ENDED", "CHANGE"),
        [
            (
                one["grant"]["id"],
                one["agent_name"] or "(all)",
                one["title"],
                when(one["grant"]["given_ms"]),
                when(one["grant"]["expires_ms"]),
                one["grant"]["ended_why"] or "-",
                one["grant"]["change"],
            )
            for one in found["grants"]
        ],
        fit=True,
    )


@grant_app.command("revoke")
def grant_revoke(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Id of a grant.")],
    *,
    because: Because = "",
    as_json: Json = False,
) -> None:
    """Take back what a change gave, at once, also in running boxes."""
    with daemon() as client:
        view = client.call("POST", "v1", "grants", grant, "revoke", body={"words": because})
    if as_json:
        render.data(view)
        return
    render.line(f"revoked {grant}: {view['title']}")
