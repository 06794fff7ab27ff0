"""`ironclaw task`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.nouns.places import ChannelOption, ChatOption, place
from ironclaw.cli.options import AgentArgument, Despite, For, Json, Reason, Yes
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.principals import API_CHANNEL

task_app = typer.Typer(
    help="Tasks: what agents do at times of their own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="Name of the task.")]


@task_app.command("list")
def task_list(
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    as_json: Json = False,
) -> None:
    """List tasks."""
    with daemon() as client:
        query = "" if agent is None else urlencode({"agent": agent})
        found = client.get("v1", "tasks", query=query)
    if as_json:
        render.data(found)
        return
    render.table(
        ("TASK", "AGENT", "CHANNEL", "CHAT", "WHEN", "NEXT"),
        [
            (
                one["task"]["name"],
                one["agent_name"],
                one["task"]["channel"],
                one["task"]["platform_id"],
                f"{one['task']['cron']} {one['task']['zone']}" if one["task"]["cron"] else "once",
                when(one["next_ms"]),
            )
            for one in found["tasks"]
        ],
    )


@task_app.command("add")
def task_add(
    agent: AgentArgument,
    name: TaskArgument,
    prompt: Annotated[str, typer.Argument(help="What the agent is told.")],
    *,
    channel: ChannelOption = API_CHANNEL,
    chat: ChatOption = None,
    cron: Annotated[str | None, typer.Option(help="Five fields: `30 8 * * mon-fri`.")] = None,
    at: Annotated[str | None, typer.Option(help="Once: 2027-01-31T08:30.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone, for example Europe/Berlin.")] = "UTC",
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Have an agent do something at a time; its answer goes to your chat with it, or another."""
    spec = {
        "kind": "task.add",
        "agent": agent,
        "name": name,
        "prompt": prompt,
        "cron": cron,
        "zone": zone,
        "at_ms": None if at is None else _at_ms(at, zone),
    } | place(agent, channel, chat)
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


@task_app.command("remove")
def task_remove(
    agent: AgentArgument,
    name: TaskArgument,
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take a task from an agent."""
    spec = {"kind": "task.remove", "agent": agent, "name": name}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


def _at_ms(text: str, zone: str) -> int:
    """A local time as milliseconds since the epoch. Raises UserError (`INVALID`)."""
    try:
        local = datetime.fromisoformat(text)
        place = local.tzinfo or ZoneInfo(zone)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise UserError(
            Code.INVALID,
            f"{text[:40]!r} in {zone[:40]!r} is no time.",
            hint="Write 2027-01-31T08:30, and a zone as Europe/Berlin.",
        ) from error
    return int(local.replace(tzinfo=place).timestamp() * 1000)
