"""`ironclaw wiring`."""

from __future__ import annotations

from typing import Annotated

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, done, show
from ironclaw.cli.options import AgentArgument, Json
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
    render.table(
        ("WIRING", "CHANNEL", "PLACE", "AGENT", "ENGAGE", "SENDERS", "PARTITION", "PRIORITY"),
        [
            (
                one["wiring"]["id"],
                one["chat"]["channel"],
                one["chat"]["platform_id"],
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
    place: Annotated[
        str,
        typer.Argument(
            help="The chat's id on its platform; of `api`: `<agent id>/<principal>/<chat>`."
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
    unknown_sender: Annotated[UnknownSender, typer.Option(help="Senders nobody let in.")] = (
        UnknownSender.DROP
    ),
    as_json: Json = False,
) -> None:
    """Wire a chat to an agent."""
    body = {
        "channel": channel,
        "platform_id": place,
        "agent": agent,
        "engage": engage.value,
        "pattern": pattern,
        "sender_scope": sender_scope.value,
        "ignored": ignored.value,
        "partition": partition.value,
        "priority": priority,
        "unknown_sender": unknown_sender.value,
    }
    with daemon() as client:
        show(client.call("POST", "v1", "wirings", body=body), as_json=as_json)


@wiring_app.command("delete")
def wiring_delete(
    wiring: Annotated[str, typer.Argument(help="Id of a wiring.")], *, as_json: Json = False
) -> None:
    """Remove a wiring."""
    with daemon() as client:
        client.call("DELETE", "v1", "wirings", wiring)
    done("deleted", wiring, as_json=as_json)
