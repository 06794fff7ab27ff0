"""`ironclaw role`."""

from __future__ import annotations

from typing import Annotated

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, done, show
from ironclaw.cli.options import Json
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
        [(one["principal"], one["role"], one["agent"] or "(all)") for one in found["standings"]],
    )


@role_app.command("give")
def role_give(
    principal: PrincipalArgument,
    role: RoleArgument,
    *,
    agent: RoleAgent = None,
    as_json: Json = False,
) -> None:
    """Give a role."""
    body = {"principal": principal, "role": role.value, "agent": agent}
    with daemon() as client:
        show(client.call("POST", "v1", "standings", body=body), as_json=as_json)


@role_app.command("take")
def role_take(
    principal: PrincipalArgument,
    role: RoleArgument,
    *,
    agent: RoleAgent = None,
    as_json: Json = False,
) -> None:
    """Take a role away."""
    body = {"principal": principal, "role": role.value, "agent": agent}
    with daemon() as client:
        client.call("DELETE", "v1", "standings", body=body)
    done("taken", principal, as_json=as_json)
