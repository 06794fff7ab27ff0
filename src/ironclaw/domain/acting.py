"""Who acts now: set at the edge for one request, read where an act is recorded.

A context variable, so that no port repeats it. Only what records a person's act, or gives everybody
their turn, reads it: what the core does by its own rules is the core's, whoever's request it began
in.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from ironclaw.domain.audit import CORE, By, Via

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.domain.model import Event

_acting: Final[ContextVar[By]] = ContextVar("ironclaw_acting", default=CORE)


def acting() -> By:
    """Who acts in this request; the core itself outside of one."""
    return _acting.get()


@contextlib.contextmanager
def act_as(who: By) -> Iterator[None]:
    """Act as somebody in what is called within."""
    before = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(before)


def said_by(event: Event) -> By:
    """Who said something: the edge may know more, a channel knows the sender."""
    by = acting()
    return By(f"{event.channel}:{event.handle}", Via.CHAT) if by == CORE else by
