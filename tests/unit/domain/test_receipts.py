"""Receipts: what verifies, and that nothing else does."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.receipts import (
    MAX_BYTES,
    PAYLOAD_TYPE,
    envelope_bytes,
    key_id,
    read_public_key,
    shown,
    signed_bytes,
    verify,
)
from ironclaw.domain.statement import CGROUP_CHECKS
from ironclaw.testing.receipts import AT_MS, TestSigner, launch, sealed

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNER = TestSigner()
SEALED = sealed()
RAW = SEALED.envelope
PAYLOAD = base64.b64decode(json.loads(RAW)["payload"])
SIGNATURE = base64.b64decode(json.loads(RAW)["signatures"][0]["sig"])


def refused(raw: bytes, signer: TestSigner = SIGNER) -> str:
    """The words with which an envelope is refused; fails when it is not."""
    with pytest.raises(PolicyError) as caught:
        verify(raw, signer.public_key)
    assert caught.value.code is Code.RECEIPT_INVALID
    assert CODES[caught.value.code].exit_code == 44
    return caught.value.message


def packed(payload: bytes, signature: bytes, /, **more: Any) -> bytes:
    """An envelope in the form that is written, of any payload and signature."""
    outer = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": SIGNER.key_id, "sig": base64.b64encode(signature).decode()},
        ],
    }
    return json.dumps(outer | more, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def signed(payload: bytes, /, **more: Any) -> bytes:
    """An envelope whose signature is right, whatever the payload is."""
    return packed(payload, SIGNER.sign(signed_bytes(payload)), **more)


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    """A payload with one change, in canonical form."""
    value = json.loads(PAYLOAD)
    change(value)
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def test_a_receipt_verifies_and_says_what_was_signed() -> None:
    statement = verify(RAW, SIGNER.public_key)

    assert statement == SEALED.statement
    assert statement.verdict == "proven"
    assert statement.launched_at == "2027-01-15T08:00:00.123Z"
    assert statement.bound_at == "2027-01-15T08:00:00.124Z"
    assert signed(PAYLOAD) == RAW


def test_the_signature_is_over_the_encoding_of_dsse() -> None:
    """Type and payload with their lengths in bytes."""
    payload = "ä".encode()

    assert signed_bytes(payload) == b"DSSEv1 %d %s 2 \xc3\xa4" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
    )


@given(data=st.data())
def test_any_edit_of_any_byte_of_the_file_is_found(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(RAW) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != RAW[at]))

    refused(RAW[:at] + bytes([byte]) + RAW[at + 1 :])


@given(data=st.data())
def test_any_edit_of_any_byte_of_the_payload_is_found(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(PAYLOAD) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != PAYLOAD[at]))

    refused(packed(PAYLOAD[:at] + bytes([byte]) + PAYLOAD[at + 1 :], SIGNATURE))


@given(data=st.data())
def test_any_edit_of_any_byte_of_the_signature_is_found(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SIGNATURE) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != SIGNATURE[at]))

    refused(packed(PAYLOAD, SIGNATURE[:at] + bytes([byte]) + SIGNATURE[at + 1 :]))


@given(data=st.data())
def test_a_file_that_was_cut_or_grew_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(RAW)))
    more = data.draw(st.binary(min_size=1, max_size=40))

    refused(RAW[: min(at, len(RAW) - 1)])
    refused(RAW[:at] + more + RAW[at:])


@given(st.binary(max_size=400))
def test_what_is_no_receipt_is_refused_and_nothing_else_happens(raw: bytes) -> None:
    refused(raw)
    refused(signed(raw))


def test_another_key_does_not_verify() -> None:
    """The twin of the proof: the same launch, signed by somebody else."""
    other = TestSigner(1)
    forged = json.loads(sealed(signer=other).envelope)
    forged["signatures"][0]["keyid"] = SIGNER.key_id

    assert "another key" in refused(RAW, other)
    assert "another key" in refused(sealed(signer=other).envelope)
    assert "signature is wrong" in refused(
        json.dumps(forged, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    )


def test_another_payload_type_is_refused_though_its_key_signed_it() -> None:
    other = "application/vnd.ironclaw.other+json"
    message = b"DSSEv1 %d %s %d %s" % (len(other), other.encode(), len(PAYLOAD), PAYLOAD)

    assert "payload type" in refused(packed(PAYLOAD, SIGNER.sign(message), payloadType=other))
    assert "payload type" in refused(signed(PAYLOAD, payloadType=other))


@pytest.mark.parametrize(
    "more",
    [
        {"more": 1},
        {"signatures": []},
        {"signatures": [{"keyid": "a", "sig": ""}] * 2},
        {"signatures": [{"keyid": SIGNER.key_id, "sig": "", "cert": "x"}]},
        {"payload": None},
    ],
)
def test_an_envelope_of_another_shape_is_refused(more: dict[str, Any]) -> None:
    assert "not a DSSE envelope" in refused(signed(PAYLOAD, **more))


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(more=1),
        lambda value: value["inside"].update(more=1),
        lambda value: value["runtime"].update(more=1),
        lambda value: value.pop("weaker"),
        lambda value: value.update(format=2),
        lambda value: value.update(verdict="refused"),
        lambda value: value.update(epoch="1"),
        lambda value: value.update(bound_at="2027-01-15T08:00:00.124Z\n"),
    ],
)
def test_a_payload_of_another_format_is_refused_though_its_key_signed_it(change: Any) -> None:
    assert "not of format 1" in refused(signed(changed(change)))


def test_a_launch_with_a_check_that_failed_is_refused_though_its_key_signed_it() -> None:
    failed = changed(lambda value: value["checks"].update({"inside.uid": False}))
    none = changed(lambda value: value["checks"].clear())

    assert "not proven: inside.uid" in refused(signed(failed))
    assert "names no check" in refused(signed(none))


def without_cgroups(value: dict[str, Any]) -> None:
    for name in CGROUP_CHECKS:
        del value["checks"][name]
    value["not_enforced"] = list(CGROUP_CHECKS)


def test_what_a_host_does_not_enforce_is_said_and_is_no_check_that_held() -> None:
    statement = verify(signed(changed(without_cgroups)), SIGNER.public_key)

    assert statement.not_enforced == CGROUP_CHECKS
    assert not set(statement.checks) & set(CGROUP_CHECKS)
    assert SEALED.statement.not_enforced == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["checks"].pop("outside.cgroup.limits"),
        lambda value: value.update(not_enforced=["outside.cgroup.limits"]),
        lambda value: (without_cgroups(value), value["not_enforced"].reverse()),
        lambda value: (without_cgroups(value), value["not_enforced"].append(CGROUP_CHECKS[0])),
    ],
)
def test_a_check_is_in_exactly_one_list(change: Any) -> None:
    """One in neither could hide; one in both would say two things."""
    assert "do not fit together" in refused(signed(changed(change)))


def test_only_what_a_host_may_lack_can_be_not_enforced() -> None:
    def network(value: dict[str, Any]) -> None:
        value.update(not_enforced=["inside.interfaces"])

    assert "not of format 1" in refused(signed(changed(network)))


def test_one_receipt_has_one_form() -> None:
    """Another reader must not see something else in the same bytes."""
    spaced = json.dumps(json.loads(PAYLOAD), sort_keys=True).encode()
    twice = PAYLOAD[:-1] + b',"verdict":"proven"}'
    pretty = json.dumps(json.loads(RAW), indent=2).encode() + b"\n"

    assert "canonical" in refused(signed(spaced))
    assert "canonical" in refused(signed(twice))
    assert "not those that were written" in refused(pretty)
    assert "not those that were written" in refused(RAW.rstrip())


def test_base64_has_one_form_too() -> None:
    """The last characters of base64 have bits that mean nothing."""
    payload = next(
        payload for size in range(3) if (payload := PAYLOAD + b" " * size) and len(payload) % 3 == 1
    )
    encoded = base64.b64encode(payload).decode()
    assert encoded.endswith("==")
    spare = encoded[:-3] + chr(ord(encoded[-3]) + 1) + "=="
    assert base64.b64decode(spare) == payload

    assert "not those that were written" in refused(signed(payload, payload=spare))


def test_an_oversize_receipt_is_refused_before_it_is_parsed() -> None:
    assert "more than" in refused(b"{" * (MAX_BYTES + 1))
    assert len(RAW) < MAX_BYTES / 8


def test_a_receipt_is_shown_with_the_keys_of_a_launch_and_whose_it_is() -> None:
    told = json.loads(msgspec.json.encode(shown(RAW)))

    before = json.loads(msgspec.json.encode(launch()))
    assert {name: told[name] for name in before} == before
    assert (told["session"], told["epoch"], told["verdict"]) == ("ses_fake", 1, "proven")
    assert (told["at_ms"], told["bound_ms"]) == (AT_MS, AT_MS + 1)
    assert told["envelope"] == json.loads(RAW)
    assert envelope_bytes(shown(RAW).envelope) == RAW


def test_a_degraded_airlock_is_in_what_is_signed() -> None:
    receipt = msgspec.structs.replace(launch(), airlock_missing=("landlock",))

    statement = verify(sealed(receipt=receipt).envelope, SIGNER.public_key)

    assert statement.airlock.missing == ("landlock",)


def test_a_time_that_does_not_exist_is_not_shown() -> None:
    raw = signed(changed(lambda value: value.update(bound_at="2027-13-41T08:00:00.124Z")))

    with pytest.raises(PolicyError):
        shown(raw)


def test_a_public_key_is_ed25519_in_pem_form_and_has_a_name() -> None:
    key = read_public_key(SIGNER.pem)
    rsa = generate_private_key(65537, 2048).public_key()

    assert key_id(key) == SIGNER.key_id
    for bad in (
        b"",
        b"\xff" * 99,
        SIGNER.pem[:60],
        rsa.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ):
        with pytest.raises(UserError) as caught:
            read_public_key(bad)
        assert caught.value.code is Code.INVALID
