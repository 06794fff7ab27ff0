"""What the checks of several kinds share: who is there, and which texts are clean. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.changes.base import MAX_PERSONA_BYTES
from ironclaw.domain.principals import API_CHANNEL
from ironclaw.domain.relaying import AGENT_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.core.ids import AgentId
    from ironclaw.domain.changes.base import House, Live
    from ironclaw.domain.model import Agent

ONLY_ITSELF = "scripted"
"""The provider that is its own only model."""
MODEL_SEPARATOR = "/"
"""Between a provider and its model."""
NOTHING_TO_DO = "There is nothing to change."
"""The hint that tells what is so already from every other conflict."""


def living(live: Live) -> Agent:
    """The agent that a change is about. Raises UserError (`NOT_FOUND`, `CONFLICT`: archived)."""
    agent = existing(live)
    if agent.archived:
        raise UserError(
            Code.CONFLICT,
            f"The agent {agent.name} has ended.",
            hint=f"Ask for it to be brought back first: `ironclaw agent restore {agent.id}`.",
        )
    return agent


def existing(live: Live) -> Agent:
    """The same, also when it has ended. Raises UserError (`NOT_FOUND`)."""
    if live.agent is None:
        raise UserError(
            Code.NOT_FOUND,
            "There is no such agent.",
            hint="`ironclaw agent list` shows those there are.",
        )
    return live.agent


def nothing_to_do(what: str) -> UserError:
    """It is so already: `what` says how it is, as a sentence."""
    return UserError(Code.CONFLICT, what, hint=NOTHING_TO_DO)


def not_there(
    what: str, *, hint: str = "`ironclaw agent show` shows what an agent has."
) -> UserError:
    """What shall be taken away was never there, or is misspelt: that is no success."""
    return UserError(Code.NOT_FOUND, what, hint=hint)


def check_prose(text: str, *, what: str) -> None:
    """Refuse a text of several lines that is too long or broken.

    Raises:
        UserError: `TOO_LARGE`, `INVALID`.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = -1
    if size < 0 or "\0" in text:
        raise UserError(
            Code.INVALID, f"The {what} is not clean text.", hint="Remove NUL and broken characters."
        )
    if size > MAX_PERSONA_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"The {what} has at most {MAX_PERSONA_BYTES} bytes.",
            hint="Say it shorter.",
        )


def check_word(text: str, *, what: str) -> None:
    """Refuse a name with characters that cannot be seen. Raises UserError (`INVALID`)."""
    if not text.isprintable() or text != text.strip():
        raise UserError(
            Code.INVALID,
            f"The {what} has characters that cannot be seen.",
            hint="Type it by hand.",
        )


def check_chat(agent: AgentId, channel: str, platform_id: str, house: House) -> None:
    """Refuse what is no chat here, and a chat that somebody has with another agent.

    The API gives everybody chats of their own with one agent (`<agent>/<principal>/<name>`), and
    whoever decides for one agent does not decide on what people say to another.

    Raises:
        UserError: `INVALID`.
        PolicyError: `FORBIDDEN`.
    """
    check_word(channel, what="channel")
    check_word(platform_id, what="chat")
    if channel not in house.channels:
        raise UserError(
            Code.INVALID,
            f"There is no channel {channel[:64]!r}.",
            hint=f"The channels are: {', '.join(house.channels)}.",
        )
    if channel == AGENT_CHANNEL:
        raise PolicyError(
            Code.FORBIDDEN,
            "The chats of that channel are those that agents have with each other.",
            hint="Ask for a destination: `ironclaw agent destination AGENT NAME --to-agent OTHER`.",
        )
    owner, slash, _ = platform_id.partition("/")
    if channel == API_CHANNEL and slash and owner != agent:
        raise PolicyError(
            Code.FORBIDDEN,
            "That chat is one that somebody has with another agent.",
            hint="Name a chat of this agent's, or one that is no agent's own.",
        )


def check_known_tools(names: Iterable[str], house: House) -> None:
    """Refuse names that no tool of this house has. Raises UserError (`INVALID`)."""
    unknown = [name for name in names if name not in house.tools]
    if unknown:
        raise UserError(
            Code.INVALID,
            f"There is no tool {unknown[0][:64]!r}.",
            hint=f"The tools are: {', '.join(house.tools)}.",
        )


def check_model(model: str, house: House) -> None:
    """Refuse a model of a provider that there is not. Raises UserError (`INVALID`)."""
    check_word(model, what="model's name")
    provider = model.partition(MODEL_SEPARATOR)[0]
    if provider not in house.models:
        raise UserError(
            Code.INVALID,
            f"There is no model provider {provider[:64]!r}.",
            hint=f"The providers are: {', '.join(house.models)}.",
        )
    if provider != ONLY_ITSELF and not model.partition(MODEL_SEPARATOR)[2]:
        raise UserError(
            Code.INVALID,
            f"{provider} is a provider of models, and no model of it is named.",
            hint=f"Write {provider}/MODEL, with the provider's own name of the model.",
        )
