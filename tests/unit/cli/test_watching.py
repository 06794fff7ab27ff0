"""What `change watch` says of an event: what has happened, and on whose word."""

from __future__ import annotations

from typing import Any

import pytest

from ironclaw.cli.nouns.changes import happened


def event(kind: str, *, at_ms: int = 2, **row: Any) -> dict[str, Any]:
    """An event of a change that was approved by Bob, and denied by Cal."""
    said = [
        {"at_ms": 2, "approved": True, "principal": "api:bob"},
        {"at_ms": 3, "approved": False, "principal": "api:cal"},
        {"at_ms": 4, "approved": True, "principal": ""},
    ]
    asked = {"asker": {"principal": "api:ann"}}
    kept = {"change": asked, "decisions": said, "grant": {"ended_by": "api:dan"}} | row
    return {"kind": kind, "at_ms": at_ms, "view": {"row": kept, "asker_name": ""}}


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (event("requested"), "asked for by api:ann"),
        (event("decided"), "approved by api:bob"),
        (event("denied", at_ms=3), "denied by api:cal"),
        (event("decided", at_ms=4), "approved by the policy"),
        (event("revoked"), "taken back by api:dan"),
        (event("expired"), "expired, as nobody decided"),
        (event("grant_expired"), "expired, as its time is over"),
        (event("replaced"), "replaced by another change"),
        (event("escalated"), "overdue"),
        (event("of-a-later-version"), "of-a-later-version"),
    ],
)
def test_an_event_says_what_has_happened_and_who_did_it(one: dict[str, Any], words: str) -> None:
    assert happened(one) == words


def test_an_agent_that_asks_is_named() -> None:
    asked = event("requested")
    asked["view"]["asker_name"] = "scribe"

    assert happened(asked) == "asked for by scribe"
