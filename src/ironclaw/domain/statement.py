"""What a receipt says, field by field: the launch as it was measured, and the form that is signed.

`docs/reference/receipts.md` has every field. A field that is added makes another format.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, get_args

import msgspec

from ironclaw_contract.rpc import Facts

if TYPE_CHECKING:
    from ironclaw.domain.model import Session

CgroupCheck = Literal["outside.cgroup.limits", "outside.cgroup.members"]
"""A posture check whose control a host may lack. No other check may be left out of a proof."""
CGROUP_CHECKS: Final[tuple[CgroupCheck, ...]] = get_args(CgroupCheck)

FORMAT: Final = 1
"""Version of the payload. A verifier refuses one that it does not know."""

_Time = Annotated[str, msgspec.Meta(pattern=r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")]
"""UTC, RFC 3339, in milliseconds."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one launch."""

    slot: str
    at_ms: int
    runtime: str
    runtime_version: str
    platform: str
    network: str
    uid: int
    rootless: bool
    image_digest: str
    spec_digest: str
    inside: Facts
    outside: dict[str, str]
    """Measured facts by name, as text: `uid`, `cap_eff`, `seccomp`, `netns`, `cgroup`, …"""
    weaker: tuple[str, ...]
    """What this host cannot enforce, in words; empty on a full host."""
    flags: tuple[str, ...] = ()
    """Flags that the runtime was started with."""
    checks: dict[str, bool] = {}
    """Every posture check of a control that this host offers, by name, and whether it held."""
    not_enforced: tuple[CgroupCheck, ...] = ()
    """Posture checks whose control this host does not offer, in order."""
    airlock_held: tuple[str, ...] = ()
    """Controls in force on the box's airlock, by name."""
    airlock_missing: tuple[str, ...] = ()
    """Controls that this machine or user could not offer."""


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything in an envelope."""


class RuntimeFacts(_Closed, frozen=True):
    """What ran the box, and how it was started."""

    name: str
    version: str
    platform: str
    flags: tuple[str, ...]
    network: str
    rootless: bool


class AirlockFacts(_Closed, frozen=True):
    """How the box's airlock is confined."""

    held: tuple[str, ...]
    """Controls in force, by name."""
    missing: tuple[str, ...]
    """Controls that this machine or user could not offer."""


class Statement(_Closed, frozen=True):
    """The payload: the proof of one launch, bound to one life of one session."""

    format: Literal[1]
    session: str
    agent: str
    slot: str
    epoch: int
    launched_at: _Time
    """When the launch was proven, while the slot was blank."""
    bound_at: _Time
    """When it was signed, before the session's key entered the slot."""
    verdict: Literal["proven"]
    spec_digest: str
    image_digest: str
    runtime: RuntimeFacts
    airlock: AirlockFacts
    checks: dict[str, bool]
    """Every posture check of a control that this host offers, by name, and whether it held."""
    not_enforced: tuple[CgroupCheck, ...]
    """Posture checks whose control this host does not offer, in order; none is in `checks`."""
    inside: Facts
    outside: dict[str, str]
    weaker: tuple[str, ...]
    """What this host cannot enforce, in words."""


class Signature(_Closed, frozen=True):
    """One signature of an envelope."""

    keyid: str
    """`sha256:` and the digest of the public key's DER form (SubjectPublicKeyInfo)."""
    sig: str
    """Base64."""


class Envelope(_Closed, frozen=True, rename={"payload_type": "payloadType"}):
    """A DSSE envelope."""

    payload: str
    """Base64."""
    payload_type: str
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(min_length=1, max_length=1)]


class Sealed(NamedTuple):
    """A receipt to keep."""

    statement: Statement
    envelope: bytes


class SignedReceipt(Receipt, frozen=True, kw_only=True):
    """A receipt as people are shown it: the facts of before, whose they are, and the proof."""

    session: str
    agent: str
    epoch: int
    bound_ms: int
    verdict: str
    envelope: Envelope


def state(receipt: Receipt, session: Session, *, bound_ms: int) -> Statement:
    """Say which life of which session this launch is for.

    Args:
        receipt: Of a launch that was proven.
        session: As it is after its epoch began.
        bound_ms: Now.
    """
    return Statement(
        format=FORMAT,
        session=session.id,
        agent=session.agent,
        slot=receipt.slot,
        epoch=session.epoch,
        launched_at=_utc(receipt.at_ms),
        bound_at=_utc(bound_ms),
        verdict="proven",
        spec_digest=receipt.spec_digest,
        image_digest=receipt.image_digest,
        runtime=RuntimeFacts(
            name=receipt.runtime,
            version=receipt.runtime_version,
            platform=receipt.platform,
            flags=receipt.flags,
            network=receipt.network,
            rootless=receipt.rootless,
        ),
        airlock=AirlockFacts(held=receipt.airlock_held, missing=receipt.airlock_missing),
        checks=receipt.checks,
        not_enforced=receipt.not_enforced,
        inside=receipt.inside,
        outside=receipt.outside,
        weaker=receipt.weaker,
    )


def _utc(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z"
