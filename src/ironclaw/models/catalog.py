"""The providers of this house, for people: whether each has its key, how much its models read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ironclaw.config.providers import key_source, needs_key
from ironclaw.models.key_files import missing
from ironclaw.models.scripted import NAME as SCRIPTED
from ironclaw.services.house import ProviderView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ironclaw.config.providers import ProviderSettings
    from ironclaw.models.host.starter import ModelHost


class Catalog:
    """Looks at providers when it is asked; nothing of it starts a model host or opens a key.

    Args:
        providers: Settings by name.
        environ: The core's environment.
        host: Knows how much the models read that have been asked.
    """

    def __init__(
        self, providers: Mapping[str, ProviderSettings], environ: Mapping[str, str], host: ModelHost
    ) -> None:
        self._providers = dict(providers)
        self._environ = environ
        self._host = host

    def views(self) -> tuple[ProviderView, ...]:
        """Every provider, by name; `scripted` first."""
        first = ProviderView(name=SCRIPTED, kind=SCRIPTED, key="not needed")
        return (first, *(self._view(*one) for one in sorted(self._providers.items())))

    def _view(self, name: str, provider: ProviderSettings) -> ProviderView:
        problem = missing(provider, self._environ)
        known = self._host.windows.items()
        return ProviderView(
            name=name,
            kind=provider.kind,
            key="missing" if problem else _where(provider),
            problem=problem,
            context_tokens=provider.context_tokens or None,
            models={model: tokens for (owner, model), tokens in known if owner == name},
        )


def _where(provider: ProviderSettings) -> Literal["present", "in the keyring", "not needed"]:
    source = key_source(provider.key)
    if source is not None and source.kind == "keyring":
        return "in the keyring"
    return "present" if needs_key(provider) else "not needed"
