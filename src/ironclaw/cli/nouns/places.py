"""Which chat is meant, and what it is called: people have short names for chats of the API.

Its id there is `<agent id>/<principal>/<name>`: `api_chat` makes one, `Places` reads it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from ironclaw.cli.nouns.daemon import daemon
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.principals import API_CHANNEL
from ironclaw.domain.relaying import AGENT_CHANNEL, pair_of

if TYPE_CHECKING:
    from ironclaw.cli.client import Client

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
    return {"channel": channel, "platform_id": api_chat(found["id"], principal, name)}


def api_chat(agent: str, principal: str, name: str) -> str:
    """The id of somebody's chat with an agent on the API's channel."""
    return f"{agent}/{principal}/{name}"


class Places(NamedTuple):
    """What chats are called, by whoever looks at them."""

    me: str
    """Their principal."""
    agents: dict[str, str]
    """Names of agents by their ids."""

    def name(self, channel: str, platform_id: str) -> str:
        """A chat among those of its channel: `helper / main`; an app's by its id there.

        Somebody else's chat with an agent has their principal behind it; a chat of two agents has
        both, the one that is written to first.
        """
        if channel == AGENT_CHANNEL:
            pair = pair_of(platform_id)
            both = (platform_id,) if pair is None else (pair.to, pair.by)
            return " / ".join(self._agent(one) for one in both)
        # An id has no slash; a principal may have, so the chat's name is cut off from behind.
        agent, _, rest = platform_id.partition("/")
        principal, slash, name = rest.rpartition("/")
        if channel != API_CHANNEL or not slash:
            return platform_id
        whose = "" if principal == self.me else f" of {principal}"
        return f"{self._agent(agent)} / {name}{whose}"

    def told(self, channel: str, platform_id: str) -> str:
        """The same where no column says of which channel it is."""
        name = self.name(channel, platform_id)
        return name if channel == API_CHANNEL else f"{channel} {name}"

    def of_session(self, view: dict[str, Any]) -> str:
        """The chat of a session, as the API shows it."""
        if view["channel"] is None:
            return "-"
        return self.told(view["channel"], view["platform_id"])

    def _agent(self, agent: str) -> str:
        return self.agents.get(agent, agent)


def places(client: Client) -> Places:
    """Ask the daemon for what chats are called."""
    agents = client.get("v1", "agents", query="state=all")["agents"]
    return Places(
        me=client.get("v1", "me")["principal"],
        agents={one["id"]: one["name"] for one in agents},
    )
