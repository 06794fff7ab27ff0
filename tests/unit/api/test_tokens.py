from __future__ import annotations

from typing import Any

import pytest

from ironclaw.api.secret_file import read_private
from ironclaw.api.tokens import FileTokenStore, ensure_first_token
from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.domain.tokens import Scope


@pytest.fixture
def store(tmp_path: Any):
    return FileTokenStore(tmp_path / "tokens.json", ManualClock())


async def test_tokens_survive_a_restart_and_the_file_holds_no_secret(store: Any, tmp_path: Any):
    minted = await store.mint(name="bot", scopes=[Scope.READ], ttl_s=None)
    path = tmp_path / "tokens.json"

    again = FileTokenStore(path, ManualClock())

    found = again.find(minted.secret)
    assert found is not None
    assert found.principal == "api:bot"
    assert path.stat().st_mode & 0o777 == 0o600
    assert minted.secret not in path.read_text()
    assert [one.name for one in tmp_path.iterdir()] == ["tokens.json"]


async def test_a_name_is_never_given_twice_because_it_is_a_principal(store: Any):
    await store.mint(name="bot", scopes=[Scope.READ], ttl_s=None)
    await store.revoke("bot")

    with pytest.raises(UserError) as caught:
        await store.mint(name="bot", scopes=[Scope.READ], ttl_s=None)

    assert caught.value.code is Code.CONFLICT


@pytest.mark.parametrize("name", ["", "A", "a b", "x\n", "../x", "x" * 64])
async def test_odd_names_are_refused(store: Any, name: Any):
    with pytest.raises(UserError):
        await store.mint(name=name, scopes=[Scope.READ], ttl_s=None)


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff\x00", b'{"version":1,"tokens":[{"x":1}]}'])
def test_a_damaged_file_is_an_error_and_stays_as_it_is(tmp_path: Any, raw: Any):
    path = tmp_path / "tokens.json"
    path.write_bytes(raw)

    with pytest.raises(HostError) as caught:
        FileTokenStore(path, ManualClock())

    assert caught.value.code is Code.STORE_CORRUPT
    assert caught.value.hint
    assert path.read_bytes() == raw


async def test_the_first_token_is_minted_once_and_anew_when_it_is_lost(store: Any, tmp_path: Any):
    path = tmp_path / "api-token"
    owners = []

    async def ensure_owner(principal: str) -> None:
        owners.append(principal)

    await ensure_first_token(store, path, ensure_owner=ensure_owner)
    first = read_private(path)
    await ensure_first_token(store, path, ensure_owner=ensure_owner)

    assert read_private(path) == first
    assert path.stat().st_mode & 0o777 == 0o600

    path.unlink()
    await ensure_first_token(store, path, ensure_owner=ensure_owner)

    found = store.find(read_private(path))
    assert found.name == "cli-2"
    assert found.scopes == {Scope.ADMIN}
    assert {found.principal, *owners} == {"api:cli"}
    assert len(owners) == 3


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Any):
    path = tmp_path / "api-token"
    path.write_text("icl_x")
    path.chmod(0o644)

    with pytest.raises(HostError) as caught:
        read_private(path)

    assert caught.value.code is Code.KEY_UNUSABLE
    assert "chmod 600" in caught.value.hint
