"""The small hashing module against published values."""

from __future__ import annotations

from ironclaw_contract.hashing import hmac_sha256, sha256


def test_sha256_of_the_standard_example() -> None:
    """FIPS 180-4, "abc"."""
    assert sha256(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_hmac_of_the_standard_examples() -> None:
    """RFC 4231, cases 2 (a short key) and 6 (a key longer than a block)."""
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    assert hmac_sha256(
        b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First"
    ).hex() == ("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
