"""What is signed: a launch, whose it is, and when, in one form."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Partition, Session
from ironclaw.domain.receipts import shown
from ironclaw.domain.statement import CGROUP_CHECKS, Statement, state
from ironclaw.testing.receipts import AT_MS, launch, sealed

SESSION = Session(
    id=SessionId("ses_a"),
    agent=AgentId("agt_a"),
    chat=None,
    thread=None,
    partition=Partition.SHARED,
    created_ms=1,
    epoch=7,
)


def test_every_fact_of_the_launch_is_in_what_is_signed() -> None:
    receipt = msgspec.structs.replace(
        launch(),
        weaker=("no limit",),
        airlock_missing=("landlock",),
        rootless=True,
        not_enforced=CGROUP_CHECKS,
    )

    said = state(receipt, SESSION, bound_ms=AT_MS + 5)

    assert (said.session, said.agent, said.slot, said.epoch) == ("ses_a", "agt_a", "slt_fake", 7)
    assert (said.runtime.flags, said.runtime.rootless) == (receipt.flags, True)
    assert (said.airlock.held, said.airlock.missing) == (("seccomp",), ("landlock",))
    assert (said.checks, said.inside, said.outside) == (
        receipt.checks,
        receipt.inside,
        receipt.outside,
    )
    assert (said.weaker, said.not_enforced) == (("no limit",), CGROUP_CHECKS)
    assert (said.spec_digest, said.image_digest) == (receipt.spec_digest, receipt.image_digest)


@given(st.integers(0, 4_102_444_800_000))
def test_a_time_is_utc_in_milliseconds_and_is_read_back_as_it_was(at_ms: int) -> None:
    receipt = msgspec.structs.replace(launch(), at_ms=at_ms)

    assert shown(sealed(receipt=receipt).envelope).at_ms == at_ms


def test_a_time_reads_as_people_write_it() -> None:
    assert state(launch(), SESSION, bound_ms=1_007).bound_at == "1970-01-01T00:00:01.007Z"


@pytest.mark.parametrize("text", ["1970-01-01T00:00:01.007", "1970-01-01T00:00:01.007+00:00", ""])
def test_a_time_in_another_form_is_no_time(text: str) -> None:
    value = msgspec.to_builtins(sealed().statement) | {"bound_at": text}

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, Statement)
