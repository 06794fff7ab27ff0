"""Queue keys: HKDF as everybody has it, and four keys that have nothing in common."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_contract.keys import Direction, derive


@given(st.binary(min_size=32, max_size=32), st.sampled_from(Direction))
def test_keys_are_those_of_an_independent_hkdf(session_key: bytes, direction: Direction) -> None:
    def expected(purpose: str) -> bytes:
        info = f"ironclaw/1/{direction.value}/{purpose}".encode()
        return HKDF(SHA256(), 32, salt=None, info=info).derive(session_key)

    assert derive(session_key, direction) == (expected("page"), expected("record"))


def test_directions_and_purposes_share_no_key() -> None:
    assert len({*derive(bytes(32), Direction.IN), *derive(bytes(32), Direction.OUT)}) == 4


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        derive(bytes(size), Direction.IN)
