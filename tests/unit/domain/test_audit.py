"""The table of events: closed, typed, and with no room for what people said."""

from __future__ import annotations

import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.audit import (
    CORE,
    FIELDS,
    OWN_REQUEST,
    AuditEntry,
    AuditEvent,
    AuditRecord,
    By,
    Via,
    mentions,
)
from ironclaw.domain.audit_chain import GENESIS, chained
from ironclaw.domain.audit_kinds import KINDS, check, in_words

SAMPLES: dict[str, object] = {
    "agent": "agt_a", "session": "ses_a", "slot": "slt_a", "epoch": 2,
    "receipt": "sha256:" + "a" * 64, "message": "msg_a", "delivery": "dlv_a", "chat": "cht_a",
    "wiring": "wir_a", "token": "tok_a", "principal": "api:ann", "role": "member",
    "name": "helper", "channel": "api", "source": "127.0.0.1", "reason": "not_wired",
    "version": "0.1.0", "count": 3, "through": 9, "digest": "sha256:" + "b" * 64,
    "code": "posture_failed", "words": ("inside.seccomp",), "change": "chg_a", "grant": "grn_a",
    "task": "tsk_a", "kind": "mount.add", "person": "mail:ann@example.org",
}  # fmt: skip


def sample(event: AuditEvent) -> AuditEntry:
    kind = KINDS[event]
    fields = {name: SAMPLES[name] for name in (*kind.must, *kind.may)}
    return msgspec.convert({"event": event.value, **fields}, AuditEntry)


def record(entry: AuditEntry, by: By = CORE) -> AuditRecord:
    return chained(entry, by, number=1, at_ms=1, previous=GENESIS)[0]


def test_every_event_has_a_row_and_every_field_is_of_some_event() -> None:
    assert set(KINDS) == set(AuditEvent)
    used = {name for kind in KINDS.values() for name in (*kind.must, *kind.may)}
    assert used == set(FIELDS) == set(SAMPLES)


@pytest.mark.parametrize("event", AuditEvent)
def test_a_full_entry_of_each_event_goes_in_and_reads_as_a_sentence(event: AuditEvent) -> None:
    entry = sample(event)
    check(entry)

    said = in_words(record(entry, By("api:ann", Via.CLI)))

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


@pytest.mark.parametrize("name", [name for name in FIELDS if isinstance(SAMPLES[name], str)])
def test_no_field_takes_a_sentence(name: str) -> None:
    """What people say has spaces; only a principal's handle, which is a name, may have them."""
    event = next(event for event, kind in KINDS.items() if name in (*kind.must, *kind.may))
    entry = msgspec.structs.replace(sample(event), **{name: "what a person said\nand more"})

    with pytest.raises(ValueError, match=r"matching|malformed|regex"):
        record(entry)


def test_the_core_is_named_when_nobody_asked() -> None:
    assert in_words(record(sample(AuditEvent.DAEMON_STARTED))) == (
        "The core started IronClaw 0.1.0."
    )


def decided(**fields: object) -> str:
    entry = msgspec.structs.replace(
        AuditEntry(
            event=AuditEvent.CHANGE_DECIDED, change="chg_a", kind="tools", reason="approved"
        ),
        **fields,
    )
    return in_words(record(entry, By("api:ann", Via.API)))


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


def test_a_record_mentions_its_ids_and_its_actor_and_nothing_else() -> None:
    made = record(sample(AuditEvent.LAUNCH_PROVEN), By("api:ann", Via.API))

    for id_ in ("agt_a", "ses_a", "slt_a", "sha256:" + "a" * 64, "api:ann"):
        assert mentions(made, frozenset([id_]))
    assert not mentions(made, frozenset(["ses_b", "2", "agt"]))


@given(st.text(max_size=600))
def test_any_principal_either_fits_or_is_refused(handle: str) -> None:
    entry = msgspec.structs.replace(sample(AuditEvent.ROUTER_REFUSED), principal=f"api:{handle}")
    try:
        made = record(entry)
    except (ValueError, UnicodeEncodeError):
        return
    assert made.principal == f"api:{handle}"
    assert "\n" not in made.principal
