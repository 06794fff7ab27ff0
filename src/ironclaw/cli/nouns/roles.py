"""`ironclaw role`."""

from __future__ import annotations

from typing import Annotated

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon
from ironclaw.cli.options import Despite, For, Json, Reason, Yes
from ironclaw.domain.model import Role

role_app = typer.Typer(
    help="Roles: who may do what with which agent.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
PrincipalArgument = Annotated[str, typer.Argument(help="`<channel>:<handle>`.")]
RoleArgument = Annotated[Role, typer.Argument(help="The role.")]
RoleAgent = Annotated[str | None, typer.Option("--agent", help="Only for this agent.")]


@role_app.command("list")
def role_list(*, as_json: Json = False) -> None:
    """List who holds which role."""
    with daemon() as client:
        found = client.get("v1", "standings")
    if as_json:
        render.data(found)
        return
    render.table(
        ("PRINCIPAL", "ROLE", "AGENT"),
        [
            (one["principal"], one["role"], one["agent_name"] or one["agent"] or "(all)")
            for one in found["standings"]
        ],
    )


@role_app.command("give")
def role_give(
    principal: PrincipalArgument,
    role: RoleArgument,
    *,
    agent: RoleAgent = None,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for a role for somebody."""
    spec = {"kind": "role.give", "principal": principal, "role": role.value, "agent": agent}
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


@role_app.command("take")
def role_take(
    principal: PrincipalArgument,
    role: RoleArgument,
    *,
    agent: RoleAgent = None,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that a role is taken away."""
    spec = {"kind": "role.take", "principal": principal, "role": role.value, "agent": agent}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)
