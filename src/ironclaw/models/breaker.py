"""The circuit breaker: a provider that keeps failing is left alone for a while. Pure."""

from __future__ import annotations

from typing import NamedTuple


class BreakerLimits(NamedTuple):
    """When it opens, and for how long."""

    failures: int = 5
    """In a row, until the provider is left alone."""
    rest_s: float = 15.0
    """Seconds of the first rest; doubles with each attempt after a rest that fails too."""
    longest_s: float = 300.0


class Breaker:
    """One provider's.

    Closed: everything goes through. Open: nothing does, until the rest is over. Then one attempt is
    let through, and what becomes of it decides.
    """

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self._limits = limits or BreakerLimits()
        self._failures = 0
        self._rest_s = self._limits.rest_s
        self._open_until_s: float | None = None
        self._has_probe = False

    def rest_s(self, now_s: float) -> float:
        """Seconds for which nothing goes through; 0: an attempt may be made, and now is."""
        if self._open_until_s is None:
            return 0.0
        if now_s < self._open_until_s:
            return self._open_until_s - now_s
        if self._has_probe:
            return self._limits.rest_s
        self._has_probe = True
        return 0.0

    def succeeded(self) -> None:
        """The provider answered, if only to say no to this one request."""
        self._failures = 0
        self._rest_s = self._limits.rest_s
        self._open_until_s = None
        self._has_probe = False

    def failed(self, now_s: float) -> None:
        """The provider as a whole failed."""
        self._failures += 1
        if self._has_probe:
            self._has_probe = False
            self._rest_s = min(self._rest_s * 2, self._limits.longest_s)
        elif self._failures < self._limits.failures or self._open_until_s is not None:
            return
        self._open_until_s = now_s + self._rest_s

    def gave_up(self) -> None:
        """The attempt says nothing of the provider: the next one may find out."""
        self._has_probe = False
