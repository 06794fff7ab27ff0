"""What the isolator notes beside a bundle, so that the next core can take over. Trusted files."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class SlotRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Written by `prepare`."""

    lane: int


class BoxRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Written by `launch`, once the box runs."""

    started: int
    """Start time of the sentry, clock ticks."""
    spec_digest: str


_T = TypeVar("_T", SlotRecord, BoxRecord)
_NAMES = {SlotRecord: "slot.json", BoxRecord: "box.json"}


def write_record(bundle: Path, record: SlotRecord | BoxRecord) -> None:
    """Write a record, whole or not at all. Raises OSError."""
    name = _NAMES[type(record)]
    draft = bundle / f".{name}"
    draft.write_bytes(msgspec.json.encode(record))
    draft.replace(bundle / name)


def read_record(bundle: Path, kind: type[_T]) -> _T | None:
    """Read a record; None when it is not there or not whole."""
    try:
        return msgspec.json.decode((bundle / _NAMES[kind]).read_bytes(), type=kind)
    except (OSError, ValueError):
        return None
