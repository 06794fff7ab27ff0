"""`ironclaw agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns import agent_changes, templates
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon, show, when
from ironclaw.cli.nouns.places import places
from ironclaw.cli.options import AgentArgument, Despite, Json, Reason, Yes
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.tools import TOOLS

if TYPE_CHECKING:
    from ironclaw.cli.nouns.places import Places

_TOOL: Final = f"A tool it may use: {', '.join(TOOLS)}; repeat for more than one."

agent_app = typer.Typer(
    help="Agents: create, list, show, change, archive, restore.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
agent_changes.add_to(agent_app)
agent_app.add_typer(templates.template_app, name="template")


@agent_app.command("list")
def agent_list(
    *,
    every: Annotated[bool, typer.Option("--all", help="Archived ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List agents."""
    with daemon() as client:
        found = client.get("v1", "agents", query="state=all" if every else "")
    if as_json:
        render.data(found)
        return
    render.table(
        ("NAME", "MODEL", "POOL", "CREATED", "STATE", "ID"),
        [
            (
                one["name"],
                one["model"],
                one["pool_size"],
                when(one["created_ms"]),
                "archived" if one["archived"] else "active",
                one["id"],
            )
            for one in found["agents"]
        ],
    )


@agent_app.command("create")
def agent_create(
    name: Annotated[str, typer.Argument(help="a-z, 0-9 and '-'.")],
    *,
    persona: Annotated[str, typer.Option(help="Who the agent is, in words.")] = "",
    model: Annotated[
        str, typer.Option(help="Which model answers: `scripted`, offline, or one of `model list`.")
    ] = "scripted",
    tool: Annotated[list[str] | None, typer.Option(help=_TOOL)] = None,
    pool_size: Annotated[int, typer.Option(help="Blank slots kept ready.")] = 1,
    template: Annotated[
        str | None,
        typer.Option(help="Persona, tools and limits of a ready-made one: `agent template list`."),
    ] = None,
    with_tasks: templates.WithTasks = False,
    zone: templates.ZoneOption = "UTC",
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for a new agent."""
    if template is not None:
        if persona or tool:
            raise UserError(
                Code.INVALID,
                "A template says what the persona and the tools are.",
                hint="Leave out --persona and --tool, and alter the agent afterwards.",
            )
        templates.create(
            name,
            template,
            model=model,
            with_tasks=with_tasks,
            zone=zone,
            pool_size=pool_size,
            reason=reason,
            yes=yes,
            as_json=as_json,
        )
        return
    spec = {
        "kind": "agent.create",
        "name": name,
        "persona": persona,
        "model": model,
        "tools": tool or [],
        "pool_size": pool_size,
    }
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


@agent_app.command("show")
def agentshow(agent: AgentArgument, *, as_json: Json = False) -> None:
    """Show an agent."""
    with daemon() as client:
        found = client.get("v1", "agents", agent)
        if as_json:
            show(found, as_json=True)
        else:
            _show(found, places(client))


@agent_app.command("archive")
def agent_archive(
    agent: AgentArgument,
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for an agent's end: its boxes stop, its sessions stay readable."""
    ask_for(
        {"kind": "agent.archive", "agent": agent},
        reason=reason,
        despite=despite,
        yes=yes,
        as_json=as_json,
    )


@agent_app.command("restore")
def agent_restore(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name or id of an archived agent.")],
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for an archived agent back."""
    ask_for(
        {"kind": "agent.restore", "agent": agent},
        reason=reason,
        despite=despite,
        yes=yes,
        as_json=as_json,
    )


def _show(agent: dict[str, Any], known: Places) -> None:
    """Show an agent to people, with the limits that hold for it, whoever set them."""
    house = agent.pop("house_limits")
    agent["limits"] = {
        name: _amount(name, house[name]) + f" (sandbox.{name})"
        if value is None
        else _amount(name, value)
        for name, value in agent["limits"].items()
    }
    agent["destinations"] = [
        f"{one['name']}: {known.told(one['channel'], one['platform_id'])}"
        for one in agent["destinations"]
    ]
    agent["skills"] = [f"/shared/skills/{one['name']}" for one in agent["skills"]]
    agent["mounts"] = [f"/shared/{one['name']}: {one['path']}" for one in agent["mounts"]]
    show(agent, as_json=False)


def _amount(name: str, value: int) -> str:
    if name.endswith("_bytes"):
        for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
            if value and value % size == 0:
                return f"{value // size} {unit}"
    return f"{value:,}"
