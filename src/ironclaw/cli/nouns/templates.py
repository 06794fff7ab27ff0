"""`ironclaw agent template`, and an agent made from one: each part is a change of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import ask_for, decide, is_so_already
from ironclaw.cli.nouns.daemon import daemon, show
from ironclaw.cli.nouns.places import MAIN, place
from ironclaw.cli.options import AgentArgument, Json, Reason, Yes
from ironclaw.core.errors import UserError
from ironclaw.domain.principals import API_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

template_app = typer.Typer(
    help="Ready-made agents, to make one's own from.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
TemplateArgument = Annotated[str, typer.Argument(metavar="TEMPLATE", help="Its name.")]
WithTasks = Annotated[
    bool, typer.Option("--with-tasks", help="Ask for the tasks of the template, too.")
]
ZoneOption = Annotated[
    str, typer.Option("--zone", help="Time zone of the tasks, for example Europe/Berlin.")
]
_HELLO: Final = "/status"
"""What begins a chat without a turn: the host answers it."""


@template_app.command("list")
def template_list(*, as_json: Json = False) -> None:
    """List ready-made agents."""
    with daemon() as client:
        found = client.get("v1", "templates")
    if as_json:
        render.data(found)
        return
    render.table(
        ("TEMPLATE", "WHAT IT IS FOR", "TASKS"),
        [
            (one["name"], one["summary"], ", ".join(one["tasks"]) or "-")
            for one in found["templates"]
        ],
    )


@template_app.command("show")
def template_show(
    name: TemplateArgument,
    *,
    as_json: Json = False,
) -> None:
    """Show a ready-made agent: who it is, what it may use and would do at times."""
    found = fetch(name)
    if as_json:
        render.data(found)
        return
    one = found["template"]
    limits = {key: value for key, value in one["limits"].items() if value is not None}
    show(
        {"name": one["name"], "summary": one["summary"], "tools": one["tools"], "limits": limits},
        as_json=False,
    )
    for task in one["tasks"]:
        render.line()
        render.line(f"task {task['name']}, {task['cron']}:")
        render.block(task["prompt"].strip())
    render.line()
    render.block(found["persona"])
    for ask in one["asks"]:
        render.note(f"Ask for: {ask}")


def fetch(name: str) -> dict[str, Any]:
    """A template as the daemon has it. Raises UserError (`NOT_FOUND`)."""
    with daemon() as client:
        found: dict[str, Any] = client.get("v1", "templates", name)
    return found


@template_app.command("apply")
def template_apply(
    agent: AgentArgument,
    name: TemplateArgument,
    *,
    with_tasks: WithTasks = False,
    zone: ZoneOption = "UTC",
    reason: Reason = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for what a template adds to an agent: its persona, its tools, its limits, its tasks.

    What is so already is left out, and so is a task whose name the agent has.
    """
    found = fetch(name)
    one = found["template"]
    parts = [
        {"kind": "persona", "agent": agent, "persona": found["persona"]},
        {"kind": "tools", "agent": agent, "add": one["tools"]},
    ]
    ask_all(
        [*parts, *additions(agent, one, with_tasks=with_tasks, zone=zone)],
        reason=reason,
        yes=yes,
        as_json=as_json,
    )


def create(
    name: str,
    template: str,
    *,
    model: str,
    with_tasks: bool,
    zone: str,
    pool_size: int,
    reason: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Ask for an agent as a template says, and for the rest of it when that is there."""
    found = fetch(template)
    one = found["template"]
    spec = {
        "kind": "agent.create",
        "name": name,
        "persona": found["persona"],
        "model": model,
        "tools": one["tools"],
        "pool_size": pool_size,
    }
    views = ask_all([spec], reason=reason, yes=yes, as_json=as_json, is_last=False)
    with daemon() as client:
        is_there = any(agent["name"] == name for agent in client.get("v1", "agents")["agents"])
    if is_there:
        more = additions(name, one, with_tasks=with_tasks, zone=zone)
        views += ask_all(more, reason=reason, yes=yes, as_json=as_json, is_last=False)
    if as_json:
        render.data({"changes": views, "ask_for": [_named(ask, name) for ask in one["asks"]]})
        return
    wanted = " --with-tasks" if one["tasks"] else ""
    if wanted and zone != "UTC":
        wanted += f" --zone {zone}"
    again = f"`ironclaw agent template apply {name} {template}{wanted}`"
    if not is_there:
        what = "limits and tasks" if wanted else "limits"
        render.note(f"Its {what} can be asked for once it is there: {again}.", tone="warn")
    elif wanted and not with_tasks:
        render.note(f"Its tasks can be asked for, too: {again}.")
    for ask in one["asks"]:
        render.note(f"It works better with this: {_named(ask, name)}")


def additions(
    agent: str, one: dict[str, Any], *, with_tasks: bool, zone: str
) -> Iterator[dict[str, Any]]:
    """Specs of what is no field of a new agent: limits, and tasks if they are wanted.

    Tasks are told in the caller's own main chat with the agent, which is begun for it.
    """
    limits = {key: value for key, value in one["limits"].items() if value is not None}
    if limits:
        yield {"kind": "limits", "agent": agent} | limits
    if not with_tasks or not one["tasks"]:
        return
    with daemon() as client:
        client.call("POST", "v1", "agents", agent, "chats", MAIN, "messages", body={"text": _HELLO})
        kept = client.get("v1", "tasks", query=urlencode({"agent": agent}))["tasks"]
    where = place(agent, API_CHANNEL, None)
    known = {view["task"]["name"] for view in kept}
    for task in one["tasks"]:
        if task["name"] in known:
            render.note(f"The agent has a task {task['name']} already: it stays as it is.")
            continue
        yield {"kind": "task.add", "agent": agent, "zone": zone} | task | where


def ask_all(
    specs: Iterable[dict[str, Any]],
    *,
    reason: str,
    yes: bool,
    as_json: bool,
    is_last: bool = True,
) -> list[dict[str, Any]]:
    """Ask for several changes, one after the other; what is so already is left out.

    Args:
        specs: What shall be.
        reason: Why.
        yes: Approve each where that is the caller's to do.
        as_json: Show nothing, and return the changes.
        is_last: Whether to print them then.

    Raises:
        UserError: One is refused; those before it stay.
    """
    views: list[dict[str, Any]] = []
    for spec in specs:
        try:
            view = _ask(spec, reason=reason, yes=yes, as_json=as_json)
        except UserError as error:
            if not is_so_already(error):
                raise
            render.note(f"{error.message} Nothing is asked for.")
            continue
        if view is not None:
            views.append(view)
    if as_json and is_last:
        render.data({"changes": views})
    return views


def _ask(spec: dict[str, Any], *, reason: str, yes: bool, as_json: bool) -> dict[str, Any] | None:
    """Ask for one change, and approve it where that is the caller's; None when it was shown."""
    if not as_json:
        ask_for(spec, reason=reason, yes=yes)
        return None
    with daemon() as client:
        view: dict[str, Any] = client.call(
            "POST", "v1", "changes", body={"change": spec, "reason": reason}
        )
        if yes and view["may_decide"] and view["row"]["status"] == "pending":
            view = decide(client, view, approve=True, words="")
    return view


def _named(ask: str, agent: str) -> str:
    return ask.replace("AGENT", agent)
