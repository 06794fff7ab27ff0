"""SQLCipher's page layer: a segment as its plain pages and back, so that pages can be broken.

Whoever has the session's key can do this, and a hijacked box has it: the page MAC is right, and
what SQLite then meets is entirely the attacker's.

Source:
    The SQLCipher 4 format: 4096-byte pages with 80 bytes of reserve (IV, HMAC-SHA512), AES-256-CBC,
    the salt in place of the first 16 bytes; HMAC key by PBKDF2-HMAC-SHA512 with 2 rounds.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PAGE: Final = 4096
RESERVE: Final = 80
USABLE: Final = PAGE - RESERVE
MAGIC: Final = b"SQLite format 3\x00"
_SALT: Final = bytes(range(16))
_IV: Final = 16
_MASK: Final = 0x3A


def decrypt(page_key: bytes, data: bytes) -> bytes:
    """Plain pages of a segment, MACs unchecked; the reserve of each is zero."""
    result = bytearray()
    for start in range(0, len(data), PAGE):
        page = data[start : start + PAGE]
        head = MAGIC if start == 0 else b""
        iv = page[USABLE : USABLE + _IV]
        mode = Cipher(algorithms.AES(page_key), modes.CBC(iv)).decryptor()
        result += head + mode.update(page[len(head) : USABLE]) + bytes(RESERVE)
    return bytes(result)


def encrypt(page_key: bytes, image: bytes) -> bytes:
    """A file of these plain pages with right MACs; what is over a whole page stays as it is."""
    mac_key = _mac_key(page_key)
    result = bytearray()
    whole = len(image) - len(image) % PAGE
    for number, start in enumerate(range(0, whole, PAGE), 1):
        head = _SALT if start == 0 else b""
        plain = image[start + len(head) : start + USABLE]
        iv = hashlib.sha256(plain).digest()[:_IV]
        mode = Cipher(algorithms.AES(page_key), modes.CBC(iv)).encryptor()
        sealed = mode.update(plain) + iv
        mac = hmac.digest(mac_key, sealed + number.to_bytes(4, "little"), "sha512")
        result += head + sealed + mac
    return bytes(result + image[whole:])


@lru_cache(maxsize=8)
def _mac_key(page_key: bytes) -> bytes:
    salt = bytes(byte ^ _MASK for byte in _SALT)
    return hashlib.pbkdf2_hmac("sha512", page_key, salt, 2, 32)
