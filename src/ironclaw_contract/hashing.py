"""SHA-256 and HMAC without `hashlib`: importing that loads libcrypto, which costs a box many ms.

Source: RFC 2104. The interpreter's own SHA-256 module changed its name in Python 3.12.
"""

from __future__ import annotations

try:
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # Python 3.11
    from _sha256 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]

_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 digest of `data`."""
    digest: bytes = _sha256(data).digest()
    return digest


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA256 of `data` under `key`."""
    if len(key) > _BLOCK:
        key = sha256(key)
    padded = key.ljust(_BLOCK, b"\0")
    return sha256(padded.translate(_OUTER) + sha256(padded.translate(_INNER) + data))
