"""What a hostile airlock says to the core after its `Ready`, by attack."""

from __future__ import annotations

import struct
from typing import Final

from ironclaw.airlock.messages import MAX_LINK_BYTES, Ready, pack

_DEPTH: Final = 50_000


def _frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


FRAMES: Final = {
    "airlock.link_garbage": _frame(bytes(range(256)) * 16),
    # Only the length of it: whoever waits for the rest waits for ever.
    "airlock.link_oversize": struct.pack(">I", MAX_LINK_BYTES + 1),
    # A map {"m": [[[…]]]}, deeper than any stack.
    "airlock.link_nested": _frame(b"\x81\xa1m" + b"\x91" * _DEPTH + b"\xc0"),
    # A kind that the core knows, but only says itself.
    "airlock.link_backwards": _frame(b"\x82\xa1m\xa3ack\xa3seq\x01"),
    "airlock.link_second_ready": pack(Ready(controls=(), missing=())),
}
