"""What a provider is, and the registry in which the service finds it by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.domain.spending import Counted
    from ironclaw_contract.rpc import Generate, ModelTell

_NAME = re.compile(r"\A[a-z][a-z0-9-]{0,62}\Z")
SEPARATOR = "/"
"""Between a provider's name and the model's own: `scripted`, or `provider/model`."""


Asks: TypeAlias = (
    "Callable[[Agent, SessionId, Generate], AsyncGenerator[ModelTell | Counted, None]]"
)
"""Does one attempt, as `Provider.generate`."""


class Provider(Protocol):
    """One way to reach models. Does one attempt; the service decides about the next."""

    def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell | Counted, None]:
        """Stream one attempt: any number of `Delta`, then one `Generated` or `Failed`.

        A `Counted` before the end says more of what it used than the end does.

        `Failed` with `MODEL_UNAVAILABLE` or `BUSY` is tried again, any other code is final. Closing
        the generator ends the attempt upstream. A `HostError` that is raised counts as unavailable.

        Trust:
            Whatever a provider's service sends is foreign; texts of `Failed` are replaced.
        """
        ...


class Registry:
    """The providers of this house, by name.

    Raises:
        UserError: A name is not one (`CONFIG_INVALID`).
    """

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        for name in providers:
            if _NAME.match(name) is None:
                raise UserError(
                    Code.CONFIG_INVALID,
                    f"{name!r} is no name of a model provider",
                    hint="Use lower-case letters, digits and '-', beginning with a letter.",
                )
        self._providers = dict(providers)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, sorted."""
        return tuple(sorted(self._providers))

    def check(self, model: str) -> None:
        """Refuse a model setting whose provider is not there, before an agent is kept with it.

        Raises:
            UserError: There is no such provider (`NOT_FOUND`).
        """
        if provider_name(model) not in self._providers:
            raise UserError(
                Code.NOT_FOUND,
                f"There is no model {model[:64]!r} here.",
                hint=f"The models of this house are: {', '.join(self.names) or 'none'}.",
            )

    def find(self, model: str) -> Provider:
        """The provider of a model setting.

        Raises:
            HostError: It is gone (`MODEL_FAILED`): the agent was made when it was there.
        """
        provider = self._providers.get(provider_name(model))
        if provider is None:
            raise HostError(
                Code.MODEL_FAILED,
                "the agent's model provider is not configured",
                hint=f"Configure {provider_name(model)!r}, or give the agent another model.",
            )
        return provider


def provider_name(model: str) -> str:
    """The provider's part of an agent's model setting."""
    return model.partition(SEPARATOR)[0]
