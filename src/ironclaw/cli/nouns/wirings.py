"""`ironclaw wiring`."""

from __future__ import annotations

from typing import Annotated

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon
from ironclaw.cli.nouns.places import place, places
from ironclaw.cli.options import AgentArgument, Despite, Json, Reason, Yes
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.model import Engage, Ignored, Partition, SenderScope, UnknownSender

wiring_app = typer.Typer(
    help="Wirings: which chat reaches which agent.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@wiring_app.command("list")
def wiring_list(*, as_json: Json = False) -> None:
    """List wirings."""
    with daemon() as client:
        found = client.get("v1", "wirings")
        if as_json:
            render.data(found)
            return
        known = places(client)
    render.table(
        ("WIRING", "CHANNEL", "PLACE", "AGENT", "ENGAGE", "SENDERS", "PARTITION", "PRIORITY"),
        [
            (
                one["wiring"]["id"],
                one["chat"]["channel"],
                known.name(one["chat"]["channel"], one["chat"]["platform_id"]),
                one["agent"],
                one["wiring"]["engage"],
                one["wiring"]["sender_scope"],
                one["wiring"]["partition"],
                one["wiring"]["priority"],
            )
            for one in found["wirings"]
        ],
    )


@wiring_app.command("create")
def wiring_create(
    channel: Annotated[str, typer.Argument(help="Channel, for example `api`.")],
    chat: Annotated[
        str,
        typer.Argument(
            metavar="PLACE",
            help="The chat's id on its platform; of `api` the name of a chat of your own with the "
            "agent, or `<agent id>/<principal>/<chat>`.",
        ),
    ],
    agent: AgentArgument,
    *,
    engage: Annotated[Engage, typer.Option(help="When a message starts a turn.")] = Engage.PATTERN,
    pattern: Annotated[str, typer.Option(help="For `pattern`: a regular expression.")] = ".",
    sender_scope: Annotated[SenderScope, typer.Option(help="Whose messages count.")] = (
        SenderScope.KNOWN
    ),
    ignored: Annotated[Ignored, typer.Option(help="What happens to the others.")] = Ignored.DROP,
    partition: Annotated[Partition, typer.Option(help="Which messages share a session.")] = (
        Partition.SHARED
    ),
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    unknown_sender: Annotated[
        UnknownSender | None, typer.Option(help="Senders nobody let in; as it is if not told.")
    ] = None,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that a chat reaches an agent."""
    spec = {
        "kind": "wiring.add",
        "agent": agent,
        "engage": engage.value,
        "pattern": pattern,
        "sender_scope": sender_scope.value,
        "ignored": ignored.value,
        "partition": partition.value,
        "priority": priority,
        "strangers": None if unknown_sender is None else unknown_sender.value,
    } | place(agent, channel, chat)
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


@wiring_app.command("delete")
def wiring_delete(
    wiring: Annotated[str, typer.Argument(help="Id of a wiring.")],
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that a chat reaches an agent no more."""
    with daemon() as client:
        found = client.get("v1", "wirings")["wirings"]
    agent = next((one["agent"] for one in found if one["wiring"]["id"] == wiring), None)
    if agent is None:
        raise UserError(
            Code.NOT_FOUND,
            f"There is no wiring {wiring[:80]!r}.",
            hint="`ironclaw wiring list` shows those there are.",
        )
    spec = {"kind": "wiring.remove", "agent": agent, "wiring": wiring}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


@wiring_app.command("strangers")
def wiring_strangers(
    channel: Annotated[str, typer.Argument(help="Channel.")],
    chat: Annotated[str, typer.Argument(metavar="PLACE", help="The chat's id on its platform.")],
    policy: Annotated[UnknownSender, typer.Argument(help="What happens to them.")],
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for another way with unknown senders of a chat."""
    spec = {
        "kind": "strangers",
        "channel": channel,
        "platform_id": chat,
        "policy": policy.value,
    }
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)
