r"""A change and what becomes of it: request, decisions, grant. Values, and the canonical form.

    submit -> pending -> approved -> applied -> done
                 |           |          \-> (revoked or expired: the grant ends)
                 |           \-> failed -> (retry) approved
                 \-> denied | expired | withdrawn | overtaken

`canonical` and `hash_of` say what exactly somebody approves. An approval is bound to that hash, to
the version of the live state that was shown beside it, and to the version of the card's form.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChangeId, GrantId, PrincipalId, SessionId
from ironclaw.domain.changes.access import GiveRole
from ironclaw.domain.changes.base import Spec, State, Topic
from ironclaw.domain.changes.limits import SetLimits
from ironclaw.domain.changes.table import AnySpec
from ironclaw.domain.model import Role
from ironclaw.domain.policy import Proof
from ironclaw.domain.principals import house_principal
from ironclaw.domain.taint import Taint

CARD_VERSION: Final = 1
"""Of the form in which a change is shown. An approval of another form is refused."""
MAX_REASON_CHARS: Final = 2000
MAX_CHANGE_BYTES: Final = 128 * 1024
"""Canonical bytes of one change: a card has to stay something that people can read."""
_DOMAIN: Final = b"ironclaw change v1\n"


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the frozen values."""


class Asker(_Value, frozen=True):
    """Who asks for a change, as the core knows it."""

    principal: PrincipalId
    """A person's, or `agent:<id>`."""
    agent: AgentId | None = None
    session: SessionId | None = None
    """The conversation in which an agent asked, or in which a budget was used up."""
    taint: tuple[Taint, ...] | msgspec.UnsetType = msgspec.UNSET
    """What foreign content an agent had before it when it asked. Not there when it had none: so a
    change that asks without it has the form, and the hash, that it always had."""

    @property
    def tainted(self) -> tuple[Taint, ...]:
        """The same; empty when there was none."""
        return () if self.taint is msgspec.UNSET else self.taint

    @property
    def is_agent(self) -> bool:
        """Whether an agent asks, whoever talked it into that."""
        return self.agent is not None

    def is_at_the_door(self, spec: Spec) -> bool:
        """Whether somebody whom nobody let in asks for just that: to be a member of an agent."""
        return (
            not self.is_agent
            and isinstance(spec, GiveRole)
            and spec.principal == self.principal
            and spec.role is Role.MEMBER
            and spec.agent is not None
        )

    def is_house(self, spec: Spec) -> bool:
        """Whether the house itself asks for just that: more of a budget that is used up."""
        return (
            not self.is_agent
            and isinstance(spec, SetLimits)
            and self.principal == house_principal(spec.agent)
            and spec.is_budget
        )


class Change(_Value, frozen=True, kw_only=True):
    """What was asked for. Never altered: another wish is another change."""

    version: Literal[1] = 1
    id: ChangeId
    spec: AnySpec
    asker: Asker
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARS)] = ""
    """In the asker's own words; nobody has checked them."""
    created_ms: int
    expires_ms: int
    """When it expires if nobody has decided by then."""
    grant_s: Annotated[int, msgspec.Meta(ge=60, le=366 * 86_400)] | None = None
    """How long what it gives lasts, in seconds from when it is applied; None: until revoked."""
    despite: ChangeId | None = None
    """A denial that the asker, a person, knows of and asks to set aside."""


class Status(enum.StrEnum):
    """Where a change is."""

    PENDING = "pending"
    APPROVED = "approved"
    """Decided, about to be applied."""
    APPLIED = "applied"
    """Durable; running boxes are being told."""
    DONE = "done"
    """In force, and seen to be."""
    FAILED = "failed"
    """Approved, and could not be applied; it can be tried again."""
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    OVERTAKEN = "overtaken"
    """It has come true by other means, or what it was about is gone: nothing was left to do."""


OPEN: Final = frozenset({Status.PENDING, Status.APPROVED, Status.APPLIED, Status.FAILED})
"""Not over."""


class Decision(_Value, frozen=True):
    """What one person, or the policy, said to a change."""

    principal: PrincipalId
    """Empty for the policy's own."""
    person: PrincipalId
    """Who that is: one person counts once, through however many principals."""
    approved: bool
    hash: str
    """Of the change that was shown."""
    state: str
    """Version of the live state that was shown beside it."""
    card: int
    """`CARD_VERSION` of how it was shown."""
    proof: Proof | None
    """None for the policy's own."""
    at_ms: int
    is_own: bool = False
    """Whether somebody decided on what they asked for themselves, under solo mode."""
    words: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARS)] = ""
    """Why, for the asker."""


class Seen(NamedTuple):
    """What somebody who decides had before their eyes."""

    hash: str
    state: str
    card: int


class Grant(_Value, frozen=True):
    """What an applied change gave, and until when."""

    id: GrantId
    change: ChangeId
    topic: Topic
    kind: str
    agent: AgentId | None
    given_ms: int
    expires_ms: int | None = None
    ended_ms: int | None = None
    ended_why: Literal["", "revoked", "expired", "replaced"] = ""
    ended_by: PrincipalId = PrincipalId("")
    """Who revoked it; empty when nobody did."""
    ended_words: str = ""
    """Why, in their own words; foreign."""
    revocable: bool = True
    """Whether there is a way back."""


class Row(_Value, frozen=True):
    """A change with where it is, as lists show it."""

    change: Change
    hash: str
    status: Status
    updated_ms: int
    code: str = ""
    """Why it failed: one of the error codes."""
    problem: str = ""
    """The same in words; of one that was overtaken, by what."""
    escalated: bool = False
    decisions: tuple[Decision, ...] = ()
    grant: Grant | None = None
    before: State | None = None
    """The state that it changed; None until it is applied."""


def canonical(change: Change) -> bytes:
    """The one form of a change: JSON with sorted keys, every field present, UTF-8.

    But for `Asker.taint`, which is there only where it says something.
    """
    return msgspec.json.encode(change, order="sorted")


def hash_of(change: Change) -> str:
    """`sha256:…` of the canonical form."""
    return hash_of_bytes(canonical(change))


def hash_of_bytes(body: bytes) -> str:
    """The same of a canonical form as it is kept, whatever fields later kinds of it have."""
    return "sha256:" + hashlib.sha256(_DOMAIN + body).hexdigest()


def state_version(state: State) -> str:
    """`sha256:…` of a state: what an approval is bound to beside the change."""
    body = msgspec.json.encode(state, order="sorted")
    return "sha256:" + hashlib.sha256(b"ironclaw state v1\n" + body).hexdigest()


def parse_change(raw: bytes) -> Change:
    """Read the canonical form of a change, and nothing but that.

    Raises:
        UserError: `TOO_LARGE` over `MAX_CHANGE_BYTES`; `INVALID`: an unknown field or kind, a field
            twice, a value out of its bounds, or any other form of the same.
    """
    if len(raw) > MAX_CHANGE_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"A change has at most {MAX_CHANGE_BYTES} bytes.",
            hint="Ask for less at once.",
        )
    try:
        change = msgspec.json.decode(raw, type=Change)
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from error
    if canonical(change) != raw:
        raise UserError(Code.INVALID, "The change is not in its canonical form.")
    return change


def as_kept(change: Change) -> Change:
    """The change as it will be read again. Raises UserError: as `parse_change`."""
    try:
        raw = canonical(change)
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from error
    return parse_change(raw)


def _malformed(error: Exception) -> UserError:
    return UserError(
        Code.INVALID,
        f"The change is not well formed: {error}",
        hint="`ironclaw change submit --help` shows the kinds and their fields.",
    )
