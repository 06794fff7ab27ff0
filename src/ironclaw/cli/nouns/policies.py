"""`ironclaw policy`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon
from ironclaw.cli.options import Despite, Json, Reason, Yes
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

policy_app = typer.Typer(
    help="The policy: who decides on changes, and what decides by itself.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@policy_app.command("show")
def policy_show(*, as_json: Json = False) -> None:
    """Show the policy in force."""
    with daemon() as client:
        policy = client.get("v1", "policy")
    if as_json:
        render.data(policy)
        return
    render.fields({name: _in_words(value) for name, value in policy.items()})


@policy_app.command("set")
def policy_set(
    name: Annotated[str, typer.Argument(help="Name of a setting, as `policy show` has it.")],
    value: Annotated[str, typer.Argument(help="`on`, `off`, a number, or JSON.")],
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for another policy: one setting of it changed."""
    with daemon() as client:
        policy = client.get("v1", "policy")
    if name not in policy:
        raise UserError(
            Code.INVALID,
            f"The policy has no setting {name[:80]!r}.",
            hint=f"It has: {', '.join(policy)}.",
        )
    spec = {"kind": "policy", "policy": policy | {name: _value(value)}}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


def _value(text: str) -> Any:
    if text in {"on", "off"}:
        return text == "on"
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            Code.INVALID, f"{text[:80]!r} is no value.", hint="Write on, off, a number or JSON."
        ) from error


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(one if isinstance(one, str) else json.dumps(one) for one in value) or "-"
    return str(value)
