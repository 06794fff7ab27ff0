"""Model providers in the configuration: what is wrong is said, a key that stands there is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironclaw.config.load import load_settings
from ironclaw.config.providers import KeySource, key_source
from ironclaw.core.errors import UserError

SECRET = "sk-live-0123456789abcdef"


def load(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return dict(load_settings(path, environ={"HOME": "/root"}).models.providers)


def test_a_provider_is_a_table(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        """
        [models.providers.claude]
        kind = "anthropic"
        key = "file:/etc/ironclaw/claude.key"

        [models.providers.home]
        kind = "openai-compatible"
        base_url = "http://127.0.0.1:11434/v1"
        headers = { X-Team = "blue" }
        context_tokens = 8192
        """,
    )

    assert set(found) == {"claude", "home"}


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (f'kind = "openai"\nkey = "{SECRET}"', "where the key is"),
        ('kind = "openai"', "has no `key`"),
        (f'kind = "openai"\nsecret = "{SECRET}"', "unknown field"),
        (f'kind = "openai"\nkey = ["{SECRET}"]', "wrong"),
        ('kind = "nobody"\nkey = "env:K"', "nobody"),
        ('kind = "openai-compatible"', "base_url"),
        ('kind = "azure"\nkey = "env:K"', "base_url"),
        ('kind = "bedrock"\nkey = "env:K"', "region"),
        (f'kind = "openai"\nkey = "env:K"\nbase_url = "https://me:{SECRET}@host/"', "base_url"),
        (f'kind = "openai"\nkey = "env:K"\nheaders = {{ Authorization = "{SECRET}" }}', "header"),
        (f'kind = "openai"\nkey = "env:K"\nheaders = {{ a = "{SECRET}\\n" }}', "header"),
        ('kind = "openai"\nkey = "env:K"\ncontext_tokens = -1', "wrong"),
    ],
)
def test_a_mistake_is_said_without_what_may_be_a_key(tmp_path: Path, table: str, word: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, f"[models.providers.one]\n{table}\n")

    told = caught.value.message + caught.value.hint
    assert word in told
    assert SECRET not in told


def test_a_key_does_not_lie_where_its_reader_cannot_go(tmp_path: Path) -> None:
    table = 'kind = "openai"\nkey = "file:/somewhere/state/key"'
    text = f'[paths]\nstate_dir = "/somewhere/state"\n[models.providers.one]\n{table}\n'

    with pytest.raises(UserError, match="cannot reach"):
        load(tmp_path, text)
    assert load(tmp_path, text.replace("file:/somewhere/state", "file:/somewhere/stat"))


@pytest.mark.parametrize("name", ["scripted", "Two", "a b", '"x/y"'])
def test_names_of_providers_are_plain_and_their_own(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError):
        load(tmp_path, f'[models.providers.{name}]\nkind = "openai"\nkey = "env:K"\n')


def test_the_environment_cannot_name_providers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no setting"):
        load_settings(environ={"HOME": str(tmp_path), "IRONCLAW_MODELS_PROVIDERS": "{}"})


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("env:OPENAI_API_KEY", KeySource("env", "OPENAI_API_KEY")),
        ("file:/etc/key", KeySource("file", "/etc/key")),
        ("credential:openai.key", KeySource("credential", "openai.key")),
        ("keyring:ironclaw/ann@home", KeySource("keyring", "ironclaw/ann@home")),
        ("keyring:ironclaw", None),
        ("keyring:a/b/c", None),
        ("file:relative", None),
        ("credential:../x", None),
        ("env:A B", None),
        ("keyring:x", None),
        ("", None),
        ("env:A\n", None),
    ],
)
def test_a_source_is_one_of_four(text: str, source: KeySource | None) -> None:
    assert key_source(text) == source
