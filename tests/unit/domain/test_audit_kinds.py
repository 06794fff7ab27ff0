"""The table of events: closed, each with its fields, and readable as sentences."""

from __future__ import annotations

import string

import msgspec
import pytest

from ironclaw.domain.audit import FIELDS, OWN_REQUEST, AuditEntry, AuditEvent, By, Via
from ironclaw.domain.audit_kinds import KINDS, check, in_words
from ironclaw.testing.audits import SAMPLES, recorded, sample


def test_every_event_has_a_row_and_every_field_is_of_some_event() -> None:
    assert set(KINDS) == set(AuditEvent)
    used = {name for kind in KINDS.values() for name in (*kind.must, *kind.may)}
    assert used == set(FIELDS) == set(SAMPLES)


@pytest.mark.parametrize("event", AuditEvent)
def test_a_full_entry_of_each_event_goes_in_and_reads_as_a_sentence(event: AuditEvent) -> None:
    entry = sample(event)
    check(entry)

    said = in_words(recorded(entry, By("api:ann", Via.CLI)))

    assert said.startswith("api:ann (cli) ")
    assert said.endswith(".")
    assert "{" not in said
    assert "None" not in said
    named = {part for _, part, _, _ in string.Formatter().parse(KINDS[event].says) if part}
    assert named <= {*KINDS[event].must, *KINDS[event].may}


@pytest.mark.parametrize("event", AuditEvent)
def test_an_entry_without_one_of_its_fields_is_refused(event: AuditEvent) -> None:
    for name in KINDS[event].must:
        empty: object = () if name == "words" else "" if name == "code" else None
        with pytest.raises(ValueError, match=name):
            check(msgspec.structs.replace(sample(event), **{name: empty}))


@pytest.mark.parametrize("event", AuditEvent)
def test_an_entry_with_a_field_of_another_event_is_refused(event: AuditEvent) -> None:
    for name in set(FIELDS) - {*KINDS[event].must, *KINDS[event].may}:
        with pytest.raises(ValueError, match=name):
            check(msgspec.structs.replace(sample(event), **{name: SAMPLES[name]}))


def test_the_core_is_named_when_nobody_asked() -> None:
    assert in_words(recorded(sample(AuditEvent.DAEMON_STARTED))) == (
        "The core started IronClaw 0.1.0."
    )


def decided(**fields: object) -> str:
    entry = msgspec.structs.replace(
        AuditEntry(
            event=AuditEvent.CHANGE_DECIDED, change="chg_a", kind="tools", reason="approved"
        ),
        **fields,
    )
    return in_words(recorded(entry, By("api:ann", Via.API)))


def test_a_decision_reads_as_a_sentence() -> None:
    assert decided(agent="agt_a") == (
        "api:ann (api) approved the change chg_a (tools) for the agent agt_a."
    )


def test_what_a_record_does_not_have_leaves_no_gap() -> None:
    assert decided(kind="policy") == "api:ann (api) approved the change chg_a (policy)."


def test_a_decision_on_ones_own_request_says_so() -> None:
    assert decided(words=(OWN_REQUEST,)) == (
        "api:ann (api) approved the change chg_a (tools) (own-request)."
    )
