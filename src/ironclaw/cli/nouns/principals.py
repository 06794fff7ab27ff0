"""`ironclaw principal` and `ironclaw me`."""

from __future__ import annotations

from typing import Annotated

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon
from ironclaw.cli.options import Despite, Json, Reason, Yes

principal_app = typer.Typer(
    help="Principals: who is known here, and which of them are one person.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
PrincipalArgument = Annotated[
    str, typer.Argument(metavar="PRINCIPAL", help="`<channel>:<handle>`, for example api:ann.")
]


@principal_app.command("list")
def principal_list(*, as_json: Json = False) -> None:
    """List principals with their roles and tokens."""
    with daemon() as client:
        found = client.get("v1", "principals")
    if as_json:
        render.data(found)
        return
    render.table(
        ("PRINCIPAL", "PERSON", "ROLES", "TOKENS"),
        [
            (
                one["principal"],
                one["person"] if one["person"] != one["principal"] else "-",
                ", ".join(map(_role, one["roles"])) or "-",
                ", ".join(token["name"] for token in one["tokens"]) or "-",
            )
            for one in found["principals"]
        ],
    )


@principal_app.command("link")
def principal_link(
    principal: PrincipalArgument,
    same_as: Annotated[str, typer.Argument(metavar="SAME_AS", help="Another of that person.")],
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Say that two principals are one person: together they count once."""
    spec = {"kind": "person.link", "principal": principal, "same_as": same_as}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


@principal_app.command("unlink")
def principal_unlink(
    principal: PrincipalArgument,
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Say that a principal is a person of its own."""
    ask_for(
        {"kind": "person.unlink", "principal": principal},
        reason=reason,
        despite=despite,
        yes=yes,
        as_json=as_json,
    )


def me(*, as_json: Json = False) -> None:
    """Show whom you act as, and what you may."""
    with daemon() as client:
        found = client.get("v1", "me")
    if as_json:
        render.data(found)
        return
    agents = found["agents"]
    render.fields(
        {
            "principal": found["principal"],
            "person": found["person"],
            "token": found["token"],
            "scopes": ", ".join(found["scopes"]),
            "everywhere": ", ".join(found["rights"]) or "-",
        }
        | {f"with {name}": ", ".join(rights) or "-" for name, rights in agents.items()}
    )


def _role(one: dict[str, str | None]) -> str:
    agent = one["agent_name"] or one["agent"]
    return f"{one['role']} of {agent}" if agent else str(one["role"])
