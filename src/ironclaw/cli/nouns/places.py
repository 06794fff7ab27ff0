"""Which chat is meant: one's own chats with an agent go by their short names."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from ironclaw.cli.nouns.daemon import daemon
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.principals import API_CHANNEL

MAIN: Final = "main"
"""One's first chat with an agent, as `ironclaw chat` names it."""

ChannelOption = Annotated[str, typer.Option("--channel", help="Channel of the chat.")]
ChatOption = Annotated[
    str | None,
    typer.Option(
        "--chat",
        help="The chat: its id on its platform; of `api` the name of a chat of your own with the "
        "agent, `main` if not told.",
    ),
]


def place(agent: str, channel: str, chat: str | None) -> dict[str, str]:
    """The fields of a change that name a chat.

    Args:
        agent: Name or id of the agent whose chat it is.
        channel: Its channel.
        chat: Its id on its platform, or the name of one's own chat with the agent; None: `main`.

    Raises:
        UserError: `INVALID`: a chat of another channel has no name but its id; `NOT_FOUND`.
    """
    if channel != API_CHANNEL:
        if not chat:
            raise UserError(
                Code.INVALID,
                f"Which chat of {channel[:80]!r}?",
                hint="Name it with --chat, by its id on that platform.",
            )
        return {"channel": channel, "platform_id": chat}
    name = chat or MAIN
    if "/" in name:
        return {"channel": channel, "platform_id": name}
    with daemon() as client:
        principal = client.get("v1", "me")["principal"]
        found = client.get("v1", "agents", agent)
    return {"channel": channel, "platform_id": f"{found['id']}/{principal}/{name}"}
