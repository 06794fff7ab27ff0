import pytest
from tests.unit.domain import stepping
from tests.unit.domain.changes.samples import SAMPLES, Sample
from tests.unit.domain.changes.test_kinds import NOTHING

from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.audit_kinds import check
from ironclaw.domain.change import Status
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.gateway import Loaded, Write, entry, row_of, tag_of
from ironclaw.domain.policy import DEFAULT


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.name)
def test_the_audit_is_told_ids_and_words_and_nothing_of_the_texts(sample: Sample) -> None:
    row = stepping.row_of(sample.spec, "chg_one", Status.PENDING)
    record = entry(AuditEvent.CHANGE_REQUESTED, row.change, digest=row.hash)

    check(record)
    assert (record.change, record.kind) == ("chg_one", tag_of(sample.spec))
    assert record.kind in SPECS
    assert record.agent == sample.spec.agent_id


def test_a_step_for_a_kept_change_needs_one() -> None:
    with pytest.raises(ValueError, match="without one"):
        row_of(Loaded(live=NOTHING))


def test_an_empty_write_is_nothing() -> None:
    assert not any(value for name, value in Write()._asdict().items() if name != "by")
    assert NOTHING.policy == DEFAULT
