"""The core's providers that live in the model host."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ironclaw.models.provider import SEPARATOR
from ironclaw.models.thoughts import Sealer
from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.codes import WireCode
from ironclaw_contract.rpc import Generated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.domain.providers import Pictures
    from ironclaw.domain.spending import Counted
    from ironclaw.models.host.starter import ModelHost
    from ironclaw_contract.rpc import Generate, ModelTell


class HostedProvider:
    """One configured provider. Implements `models.provider.Provider`."""

    def __init__(self, name: str, host: ModelHost, pictures: Pictures | None = None) -> None:
        self._name = name
        self._host = host
        self._pictures = pictures
        self._sealer = Sealer()
        self._blind: set[str] = set()
        """Models that were found to take no pictures."""

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell | Counted, None]:
        """Do one attempt with the agent's model and parameters.

        A model that refuses a call with pictures may be asked once more without: many take none,
        and few servers say so.

        Raises:
            ModelTrouble: It came to nothing.
        """
        shows = agent.model not in self._blind
        try:
            async with contextlib.aclosing(
                self._ask(agent, session, request, shows=shows)
            ) as events:
                async for event in events:
                    yield event
        except ModelTrouble as trouble:
            if trouble.had_pictures and trouble.code is WireCode.MODEL_REFUSED:
                trouble.instead = self._without_pictures
            raise

    async def _without_pictures(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell | Counted, None]:
        """The same without; a model that then answers is shown none any more."""
        stream = self._ask(agent, session, request, shows=False)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Generated):
                    self._blind.add(agent.model)
                yield event

    async def _ask(
        self, agent: Agent, session: SessionId, request: Generate, *, shows: bool
    ) -> AsyncGenerator[ModelTell | Counted, None]:
        model = agent.model.partition(SEPARATOR)[2]
        if not model:
            raise ModelTrouble(
                WireCode.MODEL_REFUSED,
                f"The agent's model names only the provider {self._name}. Give it one of that "
                f"provider's models: `ironclaw agent model {agent.name} {self._name}/MODEL`.",
            )
        most = min(agent.max_output_tokens or request.max_output_tokens, 1_000_000)
        hundredths = agent.temperature_hundredths
        pictures = self._pictures if shows else None
        shown = [] if pictures is None else list(await pictures.of(session, request))
        stream = self._host.generate(
            provider=self._name,
            model=model,
            temperature=None if hundredths is None else hundredths / 100,
            max_output_tokens=most,
            thinking=agent.thinking,
            request=self._sealer.open(request, session, agent.model),
            pictures=shown,
        )
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Generated):
                    yield self._sealer.seal(event, session, agent.model)
                else:
                    yield event
