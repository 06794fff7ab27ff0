"""`ironclaw task`."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.nouns.places import ChannelOption, ChatOption, place, places
from ironclaw.cli.options import AgentArgument, Despite, For, Json, Reason, Yes, seconds
from ironclaw.core.clock import SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.model import Misfire
from ironclaw.domain.principals import API_CHANNEL
from ironclaw.domain.schedules import moment_ms

task_app = typer.Typer(
    help="Tasks: what agents do at times of their own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
CronOption = Annotated[str | None, typer.Option(help="Five fields: `30 8 * * mon-fri`.")]
AtOption = Annotated[str | None, typer.Option(help="Once: 2027-01-31T08:30.")]
EveryOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Again and again: 15m, 8h, or seconds; at least a minute."),
]
LateOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="How late a missed time may be told: 15m, 8h; a day at first."
    ),
]
_FOR_EXAMPLE: Final = "For example --cron '30 7 * * mon-fri', --every 1h or --at 2027-01-31T08:30."
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
        known = places(client)
    render.table(
        ("TASK", "AGENT", "CHANNEL", "CHAT", "WHEN", "NEXT", "LAST"),
        [
            (
                one["task"]["name"],
                one["agent_name"],
                one["task"]["channel"],
                known.name(one["task"]["channel"], one["task"]["platform_id"]),
                _when(one["task"]),
                "paused" if one["task"]["paused"] else when(one["next_ms"]),
                one["last"],
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
    cron: CronOption = None,
    at: AtOption = None,
    every: EveryOption = None,
    zone: Annotated[str, typer.Option(help="Time zone, for example Europe/Berlin.")] = "UTC",
    misfire: Annotated[
        Misfire, typer.Option(help="A time that was missed: told late, once, or left out.")
    ] = Misfire.ONCE,
    late: LateOption = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Deliver nothing when there is nothing to report.")
    ] = False,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Have an agent do something at a time; its answer goes to your chat with it, or another."""
    if _times(cron, at, every) == 0:
        raise UserError(
            Code.INVALID,
            "Nothing says when: name one of `--cron`, `--every` and `--at`.",
            hint=_FOR_EXAMPLE,
        )
    spec = {
        "kind": "task.add",
        "agent": agent,
        "name": name,
        "prompt": prompt,
        "cron": cron,
        "zone": zone,
        "every_s": seconds(every),
        "at_ms": None if at is None else _moment(at, zone),
        "misfire": misfire,
        "quiet": quiet,
    } | place(agent, channel, chat)
    if late is not None:
        spec |= {"late_s": seconds(late)}
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


@task_app.command("update")
def task_update(
    agent: AgentArgument,
    name: TaskArgument,
    *,
    prompt: Annotated[str | None, typer.Option(help="What the agent is told.")] = None,
    channel: Annotated[str | None, typer.Option(help="Channel of another chat.")] = None,
    chat: Annotated[
        str | None, typer.Option(help="That chat, named as `task add` takes it.")
    ] = None,
    cron: CronOption = None,
    at: AtOption = None,
    every: EveryOption = None,
    zone: Annotated[
        str | None, typer.Option(help="Time zone of `--cron` and `--at`; UTC for `--at`.")
    ] = None,
    misfire: Annotated[
        Misfire | None, typer.Option(help="A time that was missed: told late, once, or left out.")
    ] = None,
    late: LateOption = None,
    quiet: Annotated[
        bool | None,
        typer.Option("--quiet/--loud", help="Deliver nothing when there is nothing to report."),
    ] = None,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Change a task: what is named, and nothing else."""
    _times(cron, at, every)
    if chat is not None and channel is None:
        raise UserError(
            Code.INVALID,
            "`--chat` is a chat of some channel, and `--channel` is missing.",
            hint=f"Name both; your own chats are of `--channel {API_CHANNEL}`.",
        )
    where = {} if channel is None else place(agent, channel, chat)
    named = where | {
        "prompt": prompt,
        "cron": cron,
        "every_s": seconds(every),
        "at_ms": None if at is None else _moment(at, zone or "UTC"),
        "zone": zone,
        "misfire": misfire,
        "late_s": seconds(late),
        "quiet": quiet,
    }
    spec: dict[str, str | int] = {"kind": "task.update", "agent": agent, "name": name}
    spec |= {key: value for key, value in named.items() if value is not None}
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


@task_app.command("pause")
def task_pause(
    agent: AgentArgument,
    name: TaskArgument,
    *,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Have a task rest; what it misses is not made up for."""
    spec = {"kind": "task.pause", "agent": agent, "name": name}
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


@task_app.command("resume")
def task_resume(
    agent: AgentArgument,
    name: TaskArgument,
    *,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Have a paused task go on from its next time."""
    spec = {"kind": "task.resume", "agent": agent, "name": name}
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


@task_app.command("run")
def task_run(agent: AgentArgument, name: TaskArgument, *, as_json: Json = False) -> None:
    """Have a task done now, beside its times; its answer goes where it always goes."""
    with daemon() as client:
        told = client.call("POST", "v1", "agents", agent, "tasks", name, "run")
    if as_json:
        render.data(told)
        return
    render.line(f"{agent} has been told: {name} ({told['message']}).")


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


def _times(cron: str | None, at: str | None, every: str | None) -> int:
    """How many options say when: none or one. Raises UserError (`INVALID`)."""
    told = [cron, at, every]
    number = len(told) - told.count(None)
    if number > 1:
        raise UserError(
            Code.INVALID,
            "Only one of `--cron`, `--every` and `--at` can say when.",
            hint=_FOR_EXAMPLE,
        )
    return number


def _moment(at: str, zone: str) -> int:
    """A time to come, in milliseconds since the epoch. Raises UserError (`INVALID`)."""
    at_ms = moment_ms(at, zone)
    if at_ms <= SystemClock().now_ms():
        raise UserError(
            Code.INVALID,
            f"The time of `--at` is over: {at[:40]}.",
            hint="Name a time to come; --zone says where it is that time, UTC if not told.",
        )
    return at_ms


def _when(task: dict[str, Any]) -> str:
    if task["cron"]:
        return f"{task['cron']} {task['zone']}"
    return f"every {task['every_s']} s" if task["every_s"] else "once"
