"""Settings of model providers: who they are and where their keys are. Never a key itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind = Literal[
    "anthropic",
    "openai",
    "google",
    "vertex",
    "bedrock",
    "azure",
    "groq",
    "mistral",
    "openrouter",
    "openai-compatible",
]
NAME: Final = re.compile(r"\A[a-z][a-z0-9-]{0,62}\Z")
TAKEN: Final = frozenset({"scripted"})
"""Names of providers that are always there."""
_SOURCE: Final = re.compile(
    r"\A(?:(?P<env>env):(?P<variable>[A-Za-z_][A-Za-z0-9_]{0,127})"
    r"|(?P<file>file):(?P<path>/[^\0]{0,4000})"
    r"|(?P<credential>credential):(?P<name>[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127})"
    r"|(?P<keyring>keyring):(?P<entry>[A-Za-z0-9_.\-]{1,128}/[A-Za-z0-9_.@\-]{1,128}))\Z"
)
_URL: Final = re.compile(r"\Ahttps?://[A-Za-z0-9.\-_\[\]:]+(?:/[\x21-\x7e]*)?\Z")
_HEADER: Final = re.compile(r"\A[A-Za-z0-9\-_]{1,128}\Z")
_HEADER_VALUE: Final = re.compile(r"\A[\x20-\x7e]{0,4096}\Z")
_SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"}
)
_NEEDS_URL: Final = frozenset({"azure", "openai-compatible"})
_NEEDS_NO_KEY: Final = frozenset({"openai-compatible"})

Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=3600.0)]
PerMillion = Annotated[float, msgspec.Meta(ge=0.0, le=1_000_000.0)]
ANY_MODEL: Final = "*"
"""In place of a model's name: every model of the provider that has no price of its own."""


class PriceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model costs, in the house's currency: `[models.providers.NAME.prices.MODEL]`."""

    input: PerMillion | None = None
    """A million tokens that it reads."""
    output: PerMillion | None = None
    """A million tokens that it writes."""
    cached_input: PerMillion | None = None
    """A million tokens that it reads and had kept; as `input` when not set."""
    cache_write: PerMillion | None = None
    """A million tokens that it reads and keeps; as `input` when not set."""
    free: bool = False
    """It costs nothing."""


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model provider. An agent's model is `<name>/<the provider's own name of a model>`."""

    kind: Kind
    """Whose protocol it speaks."""
    key: str = ""
    """Where its key is: `env:VARIABLE` of the daemon, `file:/PATH` (0600, the daemon's own),
    `credential:NAME` of systemd, or `keyring:SERVICE/USER` of the daemon's user. Not the key
    itself. For `vertex` it may be a service account's JSON; for `bedrock` an API key, with `key_id`
    the secret of an access key, or the JSON of temporary credentials."""
    base_url: str = ""
    """Where its service is, when it is not the usual place; `azure` and `openai-compatible` need
    it."""
    headers: dict[str, str] = {}
    """More headers of each request. No secrets: those belong into `key`."""
    api: Literal["chat", "responses"] = "chat"
    """For `openai` and `azure`: which of the two interfaces is used."""
    region: str = ""
    """For `bedrock` and `vertex`: where the models run."""
    project: str = ""
    """For `vertex`: the project that pays."""
    key_id: str = ""
    """For `bedrock`: the id of the access key whose secret `key` is."""
    api_version: str = ""
    """For `azure`: the version of the interface, where the address does not have it."""
    context_tokens: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] = 0
    """Tokens that its models read at once, when neither the server nor the library knows it."""
    connect_s: Seconds = 10.0
    """Seconds to reach it."""
    read_s: Seconds = 90.0
    """Seconds until the answer begins, and between two pieces of it. IronClaw itself waits no more
    than 120 and 60."""
    prices: dict[str, PriceSettings] = {}
    """What its models cost: a table for each, `[models.providers.NAME.prices.MODEL]`; `"*"` for all
    others. See budgets.md."""


class KeySource(NamedTuple):
    """Where a key is."""

    kind: Literal["env", "file", "credential", "keyring"]
    name: str
    """A variable, a path, a credential's name, or `SERVICE/USER`."""


def key_source(text: str) -> KeySource | None:
    """What `key` says; None when it is not well formed."""
    found = _SOURCE.match(text)
    if found is None:
        return None
    if found["env"]:
        return KeySource("env", found["variable"])
    if found["file"]:
        return KeySource("file", found["path"])
    if found["keyring"]:
        return KeySource("keyring", found["entry"])
    return KeySource("credential", found["name"])


def needs_key(provider: ProviderSettings) -> bool:
    """Whether it cannot be asked without one."""
    return provider.kind not in _NEEDS_NO_KEY or bool(provider.key)


def mistakes(
    name: str, provider: ProviderSettings, *, hidden: Sequence[Path] = ()
) -> Iterator[tuple[str, str]]:
    """What is wrong with one provider, and what to do; never with what stands in `key`.

    Args:
        name: Its name.
        provider: Its settings.
        hidden: Directories that whoever reads keys cannot reach.
    """
    if NAME.match(name) is None or name in TAKEN:
        yield (
            "is no name of a provider",
            "Use lower-case letters, digits and '-'; `scripted` is taken.",
        )
    yield from _about_key(provider, hidden)
    yield from _about_prices(provider)
    if provider.base_url and _URL.match(provider.base_url) is None:
        yield (
            "has a `base_url` that is none",
            "Write https://HOST/PATH, without a name or password.",
        )
    if not provider.base_url and provider.kind in _NEEDS_URL:
        yield "needs a `base_url`", "Write where its service is, as http://127.0.0.1:11434/v1."
    if provider.kind == "bedrock" and not provider.region:
        yield "needs a `region`", "Write the region its models run in, as us-east-1."
    for header, value in provider.headers.items():
        if _HEADER.match(header) is None or _HEADER_VALUE.match(value) is None:
            yield "has a header that HTTP does not know", "Use letters, digits and '-' in its name."
        elif header.lower() in _SECRET_HEADERS:
            yield f"has the header {header} in its settings", "Say where the key is in `key`."


def _about_prices(provider: ProviderSettings) -> Iterator[tuple[str, str]]:
    """The same of what its models cost."""
    for model, price in provider.prices.items():
        is_priced = price.input is not None and price.output is not None
        has_any = any(
            one is not None
            for one in (price.input, price.output, price.cached_input, price.cache_write)
        )
        if price.free == is_priced or (price.free and has_any):
            yield (
                f"has a price of {model[:64]!r} that is none",
                "Write input and output, each for a million tokens; or free = true alone.",
            )


def _about_key(provider: ProviderSettings, hidden: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """The same of where its key is."""
    if provider.key and key_source(provider.key) is None:
        yield (
            "has a `key` that does not say where the key is",
            (
                "Write env:VARIABLE, file:/PATH, credential:NAME or keyring:SERVICE/USER. If it "
                "was the key itself: put it into a file of mode 0600 and name that."
            ),
        )
    source = key_source(provider.key)
    if source is not None and source.kind == "file":
        path = Path(source.name)
        if any(path.is_relative_to(one) for one in hidden):
            yield (
                "has its key in a directory of IronClaw's own, which its reader cannot reach",
                "Put the file elsewhere, as below /etc/ironclaw.",
            )
    if not provider.key and needs_key(provider):
        yield (
            "has no `key`",
            (
                "Say where its key is: env:VARIABLE, file:/PATH, credential:NAME or "
                "keyring:SERVICE/USER."
            ),
        )
