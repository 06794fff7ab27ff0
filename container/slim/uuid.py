# ruff: noqa: INP001 (laid over the standard module in the sealed program)
"""Names for msgspec's converter to know a type by. No box makes or reads a UUID."""


class SafeUUID:
    """What the converter marks a UUID's origin with."""

    unknown = None


class UUID:
    """Never made here."""
