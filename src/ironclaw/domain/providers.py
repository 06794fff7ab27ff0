"""The ports of model providers, as Protocols. `ironclaw.models` implements them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ironclaw_contract.rpc import ModelTell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw_contract.rpc import Generate


class Picture(NamedTuple):
    """A picture that a model is shown."""

    file: str
    """Id of the file, as the call names it."""
    media_type: str
    data: bytes


class Pictures(Protocol):
    """Where the bytes of pictures come from that a model call names: `services.files.Files`."""

    async def of(self, session: SessionId, request: Generate) -> Sequence[Picture]:
        """Those that are of that session and fit a call, oldest first. Raises HostError."""
        ...


class ModelProvider(Protocol):
    """One way to reach a model. Used through exactly this port, the scripted one included."""

    def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncIterator[ModelTell]:
        """Stream the answer: any number of `Delta`, then exactly one `Generated` or `Failed`.

        Closing the iterator cancels the upstream request. Never raises for what a provider does.
        """
        ...
