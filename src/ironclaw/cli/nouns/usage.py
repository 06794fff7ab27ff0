"""`ironclaw usage`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon
from ironclaw.cli.nouns.meant import MeantOption, session_meant
from ironclaw.cli.options import Json
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.spending import Of, amount, money

_TITLES: Final = {"agent": "AGENT", "day": "DAY", "model": "MODEL", "session": "SESSION"}


def usage(
    agent: Annotated[
        str | None, typer.Argument(metavar="AGENT", help="Only of this agent.")
    ] = None,
    *,
    only: Annotated[str | None, typer.Option("--agent", help="The same.")] = None,
    session: MeantOption = None,
    by: Annotated[
        Literal["agent", "day", "model", "session"], typer.Option(help="What rows are of.")
    ] = "agent",
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="As 2026-01-31, UTC; 30 days back if not set."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="The last day; today if not set.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what agents have used of their models, and how their budgets stand."""
    if agent is not None and only is not None:
        raise UserError(
            Code.INVALID, "The agent is named twice.", hint=f"`ironclaw usage {agent}` is enough."
        )
    with daemon() as client:
        meant = session_meant(client, session) if session else None
        asked = {
            "agent": agent if only is None else only,
            "session": meant,
            "by": by,
            "from": first,
            "to": last,
        }
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        found = client.get("v1", "usage", query=query)
    if as_json:
        render.data(found)
        return
    currency = found["currency"]
    render.table(
        (_TITLES[by], "CALLS", "INPUT", "OF IT CACHED", "OUTPUT", "SECONDS", f"COST, {currency}"),
        [_row(row, by) for row in found["rows"]],
    )
    for budget in found["budgets"]:
        _say(budget, currency)
    if any(row["unpriced"] for row in found["rows"]):
        render.note("+ : there were calls whose price nobody knew. See docs/reference/budgets.md.")


def _row(row: dict[str, Any], by: str) -> tuple[object, ...]:
    cost = money(row["micros"], "").strip()
    # What no agent that is still there has a name for is told by its id.
    name = row[by] or (row["agent_id"] if by == "agent" else "") or "-"
    return (
        name,
        row["calls"],
        row["input_tokens"],
        row["cached_tokens"],
        row["output_tokens"],
        round(row["model_ms"] / 1000),
        f"{cost}{' +' if row['unpriced'] else ''}",
    )


def _say(budget: dict[str, Any], currency: str) -> None:
    of = Of(budget["budget"].partition("_")[0])
    used, most = (amount(of, budget[name], currency) for name in ("used", "most"))
    tone: Literal["dim", "warn", "bad"] = "dim"
    if budget["state"] != "open":
        tone = "bad" if budget["state"] == "spent" else "warn"
    text = f"{budget['agent']}: {budget['budget']} {used} of {most} ({budget['state']})"
    render.note(text, tone=tone)
