"""`ironclaw audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.options import Json

audit_app = typer.Typer(
    help="The audit: launches that were proven or refused, sessions that were stopped.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@audit_app.callback()
def audit() -> None:
    """The audit: launches that were proven or refused, sessions that were stopped."""


@audit_app.command("tail")
def audit_tail(
    *,
    records: Annotated[
        int, typer.Option("--records", "-n", min=1, max=1000, help="Newest records shown.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Show the newest records, oldest first."""
    with daemon() as client:
        found = client.get("v1", "audit", query=f"limit={records}")
    if as_json:
        render.data(found)
        return
    render.table(
        ("NUMBER", "AT", "EVENT", "AGENT", "SESSION", "SLOT", "CODE", "WORDS"),
        [
            (
                one["number"],
                when(one["at_ms"]),
                one["event"],
                one["agent"] or "-",
                one["session"] or "-",
                one["slot"] or "-",
                one["code"] or "-",
                ", ".join(one["words"]) or "-",
            )
            for one in found["records"]
        ],
    )
