"""Every kind of provider, and how its model is made with the library that speaks to it.

Libraries are loaded when a provider of their kind is first asked: each costs tens of megabytes.
No library finds a key by itself: the process has no variable but those that key sources name, and
those are taken out of the environment as soon as they are read.
"""

# Loaded on first use, on purpose.
# ruff: noqa: PLC0415
from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pydantic_ai.providers import Provider

from ironclaw.models.host.clients import http_client, older_http_client

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from ironclaw.config.providers import ProviderSettings

NO_KEY: Final = "none"
"""Sent where a server wants some key and has none."""
Learn = Callable[[str], None]


def make(settings: ProviderSettings, key: str, name: str, learn: Learn | None = None) -> Model[Any]:
    """Make the model `name` of a provider.

    Args:
        settings: Which provider.
        key: Its key.
        name: The provider's own name of the model.
        learn: Told of each secret that is made of the key later.

    Raises:
        ValueError, RuntimeError: The settings or the key do not fit the provider.
    """
    if settings.kind == "vertex":
        return _vertex(settings, key, name, learn)
    return KINDS[settings.kind](settings, key, name)


def _anthropic(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        api_key=key,
        base_url=settings.base_url or None,
        http_client=http_client(settings),
        max_retries=0,
    )
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


def _openai(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(openai_client=_openai_client(settings, key))
    return _openai_model(settings, name, provider)


def _openai_model(settings: ProviderSettings, name: str, provider: Provider[Any]) -> Model[Any]:
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

    if settings.api == "responses":
        return OpenAIResponsesModel(name, provider=provider)
    return OpenAIChatModel(name, provider=provider)


def _openai_client(settings: ProviderSettings, key: str) -> Any:
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        api_key=key or NO_KEY,
        base_url=settings.base_url or None,
        http_client=http_client(settings),
        max_retries=0,
    )


def _compatible(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    provider = OpenAICompatibleProvider(
        "openai-compatible",
        openai_client=_openai_client(settings, key),
        profile=OpenAIModelProfile(
            # Servers of one's own know the older name of the limit; not all know the newer one.
            openai_chat_supports_max_completion_tokens=False,
            # Nobody knows all their models: whoever has one think knows that it can.
            supports_thinking=True,
        ),
    )
    return OpenAIChatModel(name, provider=provider)


def _azure(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    from pydantic_ai.providers.azure import AzureProvider

    provider = AzureProvider(
        azure_endpoint=settings.base_url,
        api_version=settings.api_version or None,
        api_key=key,
        http_client=http_client(settings),
    )
    return _openai_model(settings, name, provider)


def _openrouter(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    from pydantic_ai.models.openrouter import OpenRouterModel
    from pydantic_ai.providers.openrouter import OpenRouterProvider

    if settings.base_url:
        client = _openai_client(settings, key)
        return OpenRouterModel(name, provider=OpenRouterProvider(openai_client=client))
    provider = OpenRouterProvider(api_key=key, http_client=http_client(settings))
    return OpenRouterModel(name, provider=provider)


def _google(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    provider = GoogleProvider(
        api_key=key, base_url=settings.base_url or None, http_client=http_client(settings)
    )
    return GoogleModel(name, provider=provider)


def _vertex(
    settings: ProviderSettings, key: str, name: str, learn: Learn | None = None
) -> Model[Any]:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google_cloud import GoogleCloudProvider

    more: dict[str, Any] = {
        "base_url": settings.base_url or None,
        "http_client": http_client(settings),
    }
    if not key.startswith("{"):
        return GoogleModel(name, provider=GoogleCloudProvider(api_key=key, **more))
    from google.oauth2.service_account import Credentials

    class Told(Credentials):
        """Tells of the tokens that it gets for the account: they are keys, too."""

        def refresh(self, request: object) -> None:
            super().refresh(request)  # type: ignore[no-untyped-call]
            if learn is not None and self.token:
                learn(self.token)

    account = json.loads(key)
    credentials = Told.from_service_account_info(account)  # type: ignore[no-untyped-call]
    provider = GoogleCloudProvider(
        credentials=credentials,
        project=settings.project or account.get("project_id"),
        location=settings.region or "global",
        **more,
    )
    return GoogleModel(name, provider=provider)


def _bedrock(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]
    from botocore.session import get_session  # type: ignore[import-untyped]
    from botocore.tokens import FrozenAuthToken  # type: ignore[import-untyped]
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    more: dict[str, Any] = {
        "connect_timeout": settings.connect_s,
        "read_timeout": settings.read_s,
        "retries": {"total_max_attempts": 1},
        "max_pool_connections": 64,
    }
    botocore = get_session()
    if key.startswith("{"):
        # As `aws sts` prints them; `key_id` is one of its parts then.
        found = json.loads(key)
        found = found.get("Credentials", found)
        botocore.set_credentials(
            found["AccessKeyId"], found["SecretAccessKey"], found.get("SessionToken")
        )
    elif settings.key_id:
        botocore.set_credentials(settings.key_id, key)
    else:
        botocore.get_auth_token = lambda **_: FrozenAuthToken(key)
        botocore.get_credentials = lambda: None
        more["signature_version"] = "bearer"
    session = boto3.Session(botocore_session=botocore, region_name=settings.region)
    client = session.client(
        "bedrock-runtime", config=Config(**more), endpoint_url=settings.base_url or None
    )
    return BedrockConverseModel(name, provider=BedrockProvider(bedrock_client=client))


def _groq(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    from groq import AsyncGroq
    from pydantic_ai.models.groq import GroqModel
    from pydantic_ai.providers.groq import GroqProvider

    client = AsyncGroq(
        api_key=key,
        base_url=settings.base_url or None,
        max_retries=0,
        http_client=older_http_client(settings),
    )
    return GroqModel(name, provider=GroqProvider(groq_client=client))


def _mistral(settings: ProviderSettings, key: str, name: str) -> Model[Any]:
    from mistralai.client import Mistral
    from pydantic_ai.models.mistral import MistralModel
    from pydantic_ai.providers.mistral import MistralProvider

    client = Mistral(
        api_key=key, async_client=http_client(settings), server_url=settings.base_url or None
    )
    return MistralModel(name, provider=MistralProvider(mistral_client=client))


KINDS: Final[dict[str, Callable[[ProviderSettings, str, str], Model[Any]]]] = {
    "anthropic": _anthropic,
    "openai": _openai,
    "google": _google,
    "vertex": _vertex,
    "bedrock": _bedrock,
    "azure": _azure,
    "groq": _groq,
    "mistral": _mistral,
    "openrouter": _openrouter,
    "openai-compatible": _compatible,
}
