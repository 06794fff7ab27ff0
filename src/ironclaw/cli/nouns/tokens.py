"""`ironclaw token`."""

from __future__ import annotations

from typing import Annotated

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, show, when
from ironclaw.cli.options import Json
from ironclaw.domain.tokens import Scope

token_app = typer.Typer(
    help="API tokens: mint, list, revoke.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@token_app.command("list")
def token_list(*, as_json: Json = False) -> None:
    """List tokens, without their secrets."""
    with daemon() as client:
        found = client.get("v1", "tokens")
    if as_json:
        render.data(found)
        return
    render.table(
        ("NAME", "PRINCIPAL", "SCOPES", "ACTIVE", "CREATED", "EXPIRES", "LAST USED", "ID"),
        [
            (
                one["name"],
                one["principal"],
                ",".join(one["scopes"]),
                "yes" if one["active"] else "no",
                when(one["created_ms"]),
                when(one["expires_ms"]),
                when(one["last_used_ms"]),
                one["id"],
            )
            for one in found["tokens"]
        ],
    )


@token_app.command("mint")
def token_mint(
    name: Annotated[str, typer.Argument(help="Who will use it; becomes `api:<name>`.")],
    *,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="admin, operate, approve, chat or read; repeat. `chat` unless told."),
    ] = None,
    principal: Annotated[
        str | None,
        typer.Option(help="Whose it is: only your own, for a second token of yours."),
    ] = None,
    ttl_s: Annotated[int | None, typer.Option(min=1, help="Seconds until it expires.")] = None,
    as_json: Json = False,
) -> None:
    """Mint a token; its secret is shown once. It may nothing until its principal has a role."""
    body = {
        "name": name,
        "scopes": [one.value for one in scope or [Scope.CHAT]],
        "ttl_s": ttl_s,
        "principal": principal,
    }
    with daemon() as client:
        made = client.call("POST", "v1", "tokens", body=body)
    if as_json:
        render.data(made)
        return
    render.note("This is the only time the secret is shown:")
    render.line(made["secret"])


@token_app.command("revoke")
def token_revoke(
    token: Annotated[str, typer.Argument(help="Name or id.")], *, as_json: Json = False
) -> None:
    """Revoke a token, at once."""
    with daemon() as client:
        show(client.call("DELETE", "v1", "tokens", token), as_json=as_json)
