"""Refusals in the audit: each kind at once, none so often that it fills a disk."""

from __future__ import annotations

import pytest

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.domain.audit import AuditEntry, AuditEvent, By, Via
from ironclaw.services.gateway.refused import MOST, Refused

EVE = By("api:eve", Via.API)


class Kept:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.entries: list[tuple[AuditEntry, By]] = []
        self.is_broken = False
        self.refused = Refused(self.append, self.clock)

    async def append(self, entry: AuditEntry, by: By) -> None:
        if self.is_broken:
            raise HostError(Code.DISK_FULL, "Full.")
        self.entries.append((entry, by))


@pytest.fixture
def kept() -> Kept:
    return Kept()


def entry(kind: str = "persona", code: str = "forbidden") -> AuditEntry:
    return AuditEntry(event=AuditEvent.CHANGE_REFUSED, kind=kind, code=code)


async def test_the_same_one_is_recorded_once_in_a_window(kept: Kept) -> None:
    for seconds in (0, 30, 29, 2):
        kept.clock.advance(seconds)
        await kept.refused.record(entry(), EVE)
    assert kept.entries == [(entry(), EVE)] * 2


async def test_another_kind_reason_or_person_is_recorded_at_once(kept: Kept) -> None:
    other = By("api:mel", Via.API)
    wanted = [(entry(), EVE), (entry("tools"), EVE), (entry(code="denied"), EVE), (entry(), other)]
    for one, by in wanted:
        await kept.refused.record(one, by)
    assert kept.entries == wanted


async def test_there_is_an_end_to_them(kept: Kept) -> None:
    for number in range(MOST + 10):
        await kept.refused.record(entry(f"k{number}"), EVE)
    assert len(kept.entries) == MOST
    kept.clock.advance(61)
    await kept.refused.record(entry("again"), EVE)
    assert len(kept.entries) == MOST + 1


async def test_an_audit_that_fails_does_not_let_anybody_through(kept: Kept) -> None:
    kept.is_broken = True
    await kept.refused.record(entry(), EVE)
    assert kept.entries == []
