from __future__ import annotations

from typing import Any

import pytest

from ironclaw.api.secret_file import read_private
from ironclaw.api.tokens import ensure_first_token
from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.domain.tokens import Scope
from ironclaw.testing.fake_tokens import FakeTokens


async def test_the_first_token_is_minted_once_and_anew_when_it_is_lost(tmp_path: Any):
    store = FakeTokens(ManualClock())
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
