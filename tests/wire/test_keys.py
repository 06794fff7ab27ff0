"""Keys of every source, used in the real process against servers: each goes where it belongs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.support.model_answers import TEXT, Wanted, bedrock, google, openai
from tests.support.model_house import KEY, ask, generate, hosting, provider
from tests.support.model_servers import Asked, ModelServer, Reply

from ironclaw.models.host.starter import environment
from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.entries import Answered
from ironclaw_contract.rpc import Generated

pytestmark = pytest.mark.wire

_BACKEND: Final = f"""
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

class Plain(KeyringBackend):
    priority = 1
    def get_password(self, service, user):
        if user == "locked":
            raise KeyringLocked("{KEY}")
        if user == "odd":
            raise ValueError("{KEY}")
        return "{KEY}" if (service, user) == ("ironclaw", "claude@home") else None
    def set_password(self, service, user, password): ...
    def delete_password(self, service, user): ...
"""


@pytest.fixture
def keyring(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with a keyring."""
    (tmp_path / "plain_ring.py").write_text(_BACKEND)
    place = tmp_path / "config" / "python_keyring"
    place.mkdir(parents=True)
    (place / "keyringrc.cfg").write_text(
        f"[backend]\ndefault-keyring=plain_ring.Plain\nkeyring-path={tmp_path}\n"
    )
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}


async def test_a_key_comes_from_the_keyring_of_the_daemons_user(keyring: dict[str, str]) -> None:
    async with ModelServer(openai()) as server:
        there = {
            name: provider("openai", f"{server.url}/v1", key=f"keyring:ironclaw/{user}")
            for name, user in (
                ("good", "claude@home"),
                ("none", "nobody"),
                ("locked", "locked"),
                ("odd", "odd"),
            )
        }
        async with hosting(keyring, **there) as host:
            ends = {name: (await ask(host, name))[1] for name in there}

    assert isinstance(ends.pop("good"), Generated)
    (asked,) = server.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    reasons = {"none": "has no entry", "locked": "KeyringLocked", "odd": "ValueError"}
    for name, why in reasons.items():
        trouble = ends[name]
        assert isinstance(trouble, ModelTrouble)
        assert "has no key that can be used" in trouble.word
        assert why in trouble.detail
        assert KEY not in trouble.word + trouble.detail


def test_a_host_without_a_keyring_key_is_not_told_of_one(keyring: dict[str, str]) -> None:
    with_one = {"one": provider("openai", "", key="keyring:ironclaw/claude@home")}

    assert environment({"one": provider("openai", "")}, keyring).keys().isdisjoint(keyring)
    assert environment(with_one, keyring).items() >= keyring.items()


TOKEN: Final = "FwoGZXIvYXdzEBYaDCANARYsessionTOKEN/+=="


@pytest.mark.parametrize("wrap", [True, False])
async def test_temporary_credentials_sign_and_their_token_goes_along(wrap: bool) -> None:
    parts = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": KEY, "SessionToken": TOKEN}
    found: dict[str, Any] = {"Credentials": parts} if wrap else parts
    echo = bedrock(Wanted(text=("Your token is ", TOKEN, f" and {KEY}"), calls=(), thought=""))
    async with (
        ModelServer(echo) as server,
        hosting(
            {"AWS": json.dumps(found, indent=1)},
            aws=provider("bedrock", server.url, key="env:AWS", region="us-east-1"),
        ) as host,
    ):
        said, end = await ask(host, "aws")

    (asked,) = server.asked
    assert asked.headers["x-amz-security-token"] == TOKEN
    assert "Credential=ASIAEXAMPLE/" in asked.headers["authorization"]
    assert isinstance(end, Generated)
    assert said == "Your token is [redacted] and [redacted]"
    assert TOKEN not in repr(end)


MINTED: Final = "ya29.minted-CANARY-0123456789"


class Google(ModelServer):
    """Where tokens are had, and where models are asked."""

    def reply_to(self, asked: Asked) -> Reply:
        if asked.path == "/token":
            token = {"access_token": MINTED, "expires_in": 3600, "token_type": "Bearer"}
            return Reply((json.dumps(token).encode(),), media_type="application/json")
        return super().reply_to(asked)


@pytest.fixture(scope="module")
def account_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


async def test_a_service_account_signs_for_a_token_and_the_token_is_a_key_too(
    account_key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    echo = google(Wanted(text=("It is ", MINTED[:9], MINTED[9:], "."), calls=(), thought=""))
    pem = account_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    async with Google(echo) as server:
        account = {
            "type": "service_account",
            "project_id": "house-1",
            "private_key_id": "k1",
            "private_key": pem,
            "client_email": "house@house-1.example",
            "client_id": "1",
            "token_uri": f"{server.url}/token",
        }
        path = tmp_path / "account.json"
        path.write_text(json.dumps(account, indent=2))
        path.chmod(0o600)
        settings = provider("vertex", server.url, key=f"file:{path}", region="europe-west1")
        async with hosting(vertex=settings) as host:
            said, end = await ask(host, "vertex", model="gemini-2.5-flash")

    token, model = server.asked
    (assertion,) = parse_qs(token.body.decode())["assertion"]
    signed, _, signature = assertion.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    account_key.public_key().verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert model.headers["authorization"] == f"Bearer {MINTED}"
    assert "/projects/house-1/locations/europe-west1/" in model.path
    assert isinstance(end, Generated)
    assert said == "It is [redacted]."
    assert end.entries == (Answered(text=said),)


async def test_azure_is_asked_with_the_version_of_its_interface() -> None:
    async with (
        ModelServer(openai()) as server,
        hosting(azure=provider("azure", server.url, api_version="2024-10-21")) as host,
    ):
        said, end = await ask(host, "azure", model="my-deployment")

    (asked,) = server.asked
    path = "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    assert asked.path == path
    assert asked.headers["api-key"] == KEY
    assert isinstance(end, Generated)
    assert said == "".join(TEXT)


async def test_a_better_key_in_its_file_is_taken_after_the_old_one_was_refused(
    tmp_path: Path,
) -> None:
    class Strict(ModelServer):
        def reply_to(self, asked: Asked) -> Reply:
            if asked.headers["authorization"] != f"Bearer {KEY}":
                return Reply((b'{"error":{"message":"no"}}',), 401, (), "application/json")
            return openai()

    path = tmp_path / "key"
    path.write_text("sk-an-old-one-that-is-no-more")
    path.chmod(0o600)
    async with (
        Strict() as server,
        hosting(one=provider("openai", f"{server.url}/v1", key=f"file:{path}")) as host,
    ):
        _, refused = await ask(host, "one", generate())
        path.write_text(KEY)
        _, end = await ask(host, "one", generate())

    assert isinstance(refused, ModelTrouble)
    assert isinstance(end, Generated)
