"""What a record may hold: typed fields, with no room for what people said."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.audit import FIELDS, AuditEvent, By, Via, mentions
from ironclaw.domain.audit_kinds import KINDS
from ironclaw.testing.audits import SAMPLES, recorded, sample


@pytest.mark.parametrize("name", [name for name in FIELDS if isinstance(SAMPLES[name], str)])
def test_no_field_takes_a_sentence(name: str) -> None:
    """What people say has spaces; only a principal's handle, which is a name, may have them."""
    event = next(event for event, kind in KINDS.items() if name in (*kind.must, *kind.may))
    entry = msgspec.structs.replace(sample(event), **{name: "what a person said\nand more"})

    with pytest.raises(ValueError, match=r"matching|malformed|regex"):
        recorded(entry)


def test_a_record_mentions_its_ids_and_its_actor_and_nothing_else() -> None:
    made = recorded(sample(AuditEvent.LAUNCH_PROVEN), By("api:ann", Via.API))

    for id_ in ("agt_a", "ses_a", "slt_a", "sha256:" + "a" * 64, "api:ann"):
        assert mentions(made, frozenset([id_]))
    assert not mentions(made, frozenset(["ses_b", "2", "agt"]))


@given(st.text(max_size=600))
def test_any_principal_either_fits_or_is_refused(handle: str) -> None:
    entry = msgspec.structs.replace(sample(AuditEvent.ROUTER_REFUSED), principal=f"api:{handle}")
    try:
        made = recorded(entry)
    except (ValueError, UnicodeEncodeError):
        return
    assert made.principal == f"api:{handle}"
    assert "\n" not in made.principal
