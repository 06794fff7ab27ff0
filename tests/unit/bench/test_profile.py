"""The profile: spans add up, and nothing stays wrapped."""

from __future__ import annotations

import contextlib

from ironclaw.airlock.link import Link
from ironclaw.bench.profile import STAGES, Stages
from ironclaw.store.ledger import Ledger


def test_spans_are_told_for_every_stage_and_are_never_negative() -> None:
    stages = Stages()
    for skipped in ("", "published"):
        began = stages.begin()
        for name in STAGES:
            if name != skipped:
                stages.mark(name)
        stages.end(began)

    medians = stages.medians_ms()

    assert list(medians) == list(STAGES)
    assert all(value >= 0 for value in medians.values())


def test_what_was_wrapped_is_itself_again() -> None:
    before = (Link.publish, Link.tell, Link.receive, Ledger.commit)

    with contextlib.suppress(RuntimeError), Stages().watching():
        assert Link.publish is not before[0]
        raise RuntimeError

    assert (Link.publish, Link.tell, Link.receive, Ledger.commit) == before
