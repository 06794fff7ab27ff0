"""Who may decide on a change, and when it has been decided. Pure.

    hindrance -> decided -> (approvals of enough different persons) -> approved
                 withdrawn, expired, escalated

Nobody decides on what they asked for themselves, through however many principals, unless the policy
is solo. One exception keeps a fresh house usable: its only owner may decide on the policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.audit import CORE, OWN_REQUEST, AuditEvent
from ironclaw.domain.change import (
    CARD_VERSION,
    MAX_REASON_CHARS,
    Decision,
    Status,
    hash_of,
    state_version,
)
from ironclaw.domain.changes.base import Topic
from ironclaw.domain.gateway import Write, entry, row_of
from ironclaw.domain.model import Role
from ironclaw.domain.overtaking import not_yet, overtaken
from ironclaw.domain.policy import Proof, needed
from ironclaw.domain.principals import API_CHANNEL, channel_of
from ironclaw.domain.rights import RIGHTS, Actor, Right, rights

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.core.ids import AgentId, PrincipalId
    from ironclaw.domain.audit import By
    from ironclaw.domain.change import Asker, Row, Seen
    from ironclaw.domain.changes.base import Live, Spec
    from ironclaw.domain.gateway import Loaded
    from ironclaw.domain.model import Standing
    from ironclaw.domain.policy import Policy


def hindrance(loaded: Loaded, row: Row, actor: Actor) -> str:
    """Say why somebody may not decide on a change now; empty when they may.

    Args:
        loaded: With `standings` and `person` of the actor, `asker_person` and `voices`.
        row: The change.
        actor: Who would decide.
    """
    if row.status is not Status.PENDING:
        return f"It is {row.status.value} already."
    if missing := lacks(loaded, row.change.spec, actor):
        return missing
    if is_own(loaded) and not may_decide_own(loaded, row.change.spec):
        return f"You asked for it yourself: somebody else has to decide.{nobody_can(loaded, row)}"
    if loaded.person in _have_said(loaded, row):
        # Also where its state is another since: a person decides once, and can withdraw it.
        words = "You have approved it already: it needs somebody else's word too."
        return f"{words}{nobody_can(loaded, row)}"
    return ""


def lacks(
    loaded: Loaded, spec: Spec, actor: Actor, *, gives: bool = True, over: AgentId | None = None
) -> str:
    """Say what somebody lacks to decide on such a change, whoever asked for it; empty: nothing.

    Args:
        loaded: With `standings` and `person` of the actor.
        spec: What it is.
        actor: Who would decide.
        gives: Whether it would be given; else it is taken back, and whom it reaches has no say.
        over: The agent over which their rights and roles count; None: the one that it is about.
    """
    wanted = needed(loaded.live.policy, spec)
    agent = spec.agent_id if over is None else over
    held = rights(loaded.standings, agent)
    names = " or ".join(role.value for role in deciding_roles(loaded.live.policy, spec))
    unheld = ", ".join(right.value for right in Right if right in spec.demands() - held)
    channels = loaded.live.policy.approver_channels
    peer = loaded.live.peer if gives else None
    walls = (
        (
            loaded.person is not None and Right.DECIDE in held & actor.limit,
            "You have no right to decide on changes here.",
        ),
        (wanted.roles & roles_over(loaded.standings, agent), f"It needs the word of: {names}."),
        (
            spec.deciders_for() != {Role.OWNER} or Right.OWN in held & actor.limit,
            "It needs an owner, with a token that lets an owner's rights through.",
        ),
        (
            # Whoever may write to an agent gets its answers: that is for those who decide on it.
            peer is None or Right.DECIDE in rights(loaded.standings, peer.id) & actor.limit,
            "It reaches another agent, on which you have no right to decide.",
        ),
        (not unheld, f"You would give rights that you do not hold: {unheld}. It needs: {names}."),
        (actor.proof in wanted.proofs, "It needs another proof of who you are."),
        (
            not channels or channel_of(actor.principal) in channels,
            f"Decisions are taken on: {', '.join(channels)}.",
        ),
    )
    return next((words for holds, words in walls if not holds), "")


def deciding_roles(policy: Policy, spec: Spec) -> tuple[Role, ...]:
    """The roles that are enough to decide on such a change, with a token that lets them through."""
    wanted = needed(policy, spec).roles
    floor = spec.demands() | {Right.DECIDE}
    if spec.deciders_for() == {Role.OWNER}:
        floor |= {Right.OWN}
    return tuple(role for role in Role if role in wanted and floor <= RIGHTS[role])


def nobody_can(loaded: Loaded, row: Row) -> str:
    """Say that too few people here can decide on a change as it is; empty when there are enough."""
    spec = row.change.spec
    able = set()
    for principal, voice in loaded.deciders.items():
        proof = Proof.TOKEN if channel_of(principal) == API_CHANNEL else Proof.CHANNEL
        now = loaded._replace(person=voice.person, standings=voice.standings)
        is_barred = is_own(now) and not may_decide_own(now, spec)
        if not is_barred and not lacks(now, spec, Actor(principal, proof=proof)):
            able.add(voice.person)
    people = needed(loaded.live.policy, spec).people
    if not loaded.deciders or len(able) >= people:
        return ""
    if len(able) == people - 1 and loaded.asker_person is not None and not loaded.live.policy.solo:
        way = "`ironclaw policy set solo on` lets people decide on what they ask for."
    else:
        way = "Give somebody a role that can: `ironclaw role give`."
    who = "Nobody here can" if not able else f"Of the {people} that it needs, {len(able)} here can"
    return f" {who}. {way}"


def roles_over(standings: Iterable[Standing], agent: AgentId | None) -> frozenset[Role]:
    """The roles that somebody holds globally, or for that agent."""
    return frozenset(
        one.role
        for one in standings
        if one.agent is None or (one.agent == agent and one.role is not Role.OWNER)
    )


def is_own(loaded: Loaded) -> bool:
    """Whether the one who acts is the person who asked; never for what an agent asked."""
    return loaded.asker_person is not None and loaded.person == loaded.asker_person


def may_decide_own(loaded: Loaded, spec: Spec) -> bool:
    """Whether a person may decide on such a change of their own."""
    return loaded.live.policy.solo or (
        spec.topic is Topic.POLICY and is_only_owner(loaded.live, loaded.person)
    )


def is_only_owner(live: Live, person: PrincipalId | None) -> bool:
    """Whether a person is the only owner that there is."""
    return person is not None and set(live.owner_persons) == {person}


def approvals(loaded: Loaded, state: str) -> frozenset[PrincipalId]:
    """The persons who approved just this: that change, beside that state, in this form.

    Who they are, and whether it is theirs to say, is asked anew: principals were linked, roles
    taken, since they said it.
    """
    row = row_of(loaded)
    return frozenset(
        person
        for one in row.decisions
        if one.approved and one.hash == row.hash and one.state == state and one.card == CARD_VERSION
        if (person := _who_says(loaded, row.change.spec, one)) is not None
    )


def _who_says(loaded: Loaded, spec: Spec, said: Decision) -> PrincipalId | None:
    """Who that is by now; None when it would not be theirs to say any more."""
    if not said.principal:
        return said.person
    if (voice := loaded.voices.get(said.principal)) is None:
        return None
    now = loaded._replace(person=voice.person, standings=voice.standings)
    if lacks(now, spec, Actor(said.principal, proof=said.proof)):
        return None
    return None if is_own(now) and not may_decide_own(now, spec) else voice.person


def _have_said(loaded: Loaded, row: Row) -> frozenset[PrincipalId]:
    """Who has decided on it, as they were then and as they are now."""
    return frozenset(one.person for one in row.decisions).union(
        voice.person for voice in loaded.voices.values()
    )


# --- steps ----------------------------------------------------------------------------------------


def decided(
    loaded: Loaded, *, actor: Actor, approve: bool, seen: Seen, words: str = "", by: By = CORE
) -> Write:
    """Keep somebody's word; it is approved when enough persons said yes to the same thing.

    What has nothing left to do ends instead, whatever they say and saw: no word was needed for it.
    What could not be applied as things are is not approved, and goes on waiting.

    Raises:
        UserError: `CONFLICT`: decided already, what was seen is not what is, or a yes could not be
            carried out; `INVALID`.
        PolicyError: `FORBIDDEN`: not theirs to decide.
    """
    row = row_of(loaded)
    spec, live = row.change.spec, loaded.live
    # 1. It waits, and has not expired between two looks of the clock.
    if row.status is not Status.PENDING or live.house.now_ms >= row.change.expires_ms:
        word = row.status.value if row.status is not Status.PENDING else Status.EXPIRED.value
        raise UserError(
            Code.CONFLICT, f"It is {word} already.", hint=f"`ironclaw change show {row.change.id}`"
        )
    # 2. It is theirs to decide.
    if reason := hindrance(loaded, row, actor):
        raise PolicyError(
            Code.FORBIDDEN, reason, hint=f"`ironclaw change show {row.change.id}` says who can."
        )
    # 3. There is something left to decide on, and a yes could be carried out.
    if (over := overtaken(loaded)).status is not None:
        return over
    if approve and (waits := not_yet(loaded, row.change)) is not None:
        raise UserError(
            Code.CONFLICT,
            f"It cannot be approved as things are. {waits.why}",
            hint=f"{waits.way} Or say no to it: `ironclaw reject {row.change.id}`.".lstrip(),
        )
    # 4. What they saw is what is, and what was asked for.
    state = state_version(spec.before(live))
    if row.hash != hash_of(row.change) or tuple(seen) != (row.hash, state, CARD_VERSION):
        raise UserError(
            Code.CONFLICT,
            "What you saw is not what it would change now.",
            hint=f"Look again: `ironclaw change show {row.change.id}`.",
        )
    check_words(words)
    decision = Decision(
        principal=actor.principal,
        person=loaded.person or actor.principal,
        approved=approve,
        hash=row.hash,
        state=state,
        card=CARD_VERSION,
        proof=actor.proof,
        at_ms=live.house.now_ms,
        is_own=is_own(loaded),
        words=words,
    )
    record = entry(
        AuditEvent.CHANGE_DECIDED,
        row.change,
        digest=row.hash,
        reason="approved" if approve else "denied",
        words=(OWN_REQUEST,) if decision.is_own else (),
    )
    kept = Write(decision=decision, audit=(record,), by=by, event="decided")
    if not approve:
        return kept._replace(status=Status.DENIED, is_denied=True, event="denied")
    persons = approvals(loaded, state) | {decision.person}
    if len(persons) < needed(live.policy, spec).people:
        return kept
    return kept._replace(status=Status.APPROVED)


def check_words(words: str) -> None:
    """Refuse more words beside a decision than are kept. Raises UserError (`INVALID`)."""
    if len(words) > MAX_REASON_CHARS:
        raise UserError(
            Code.INVALID,
            f"The words beside a decision have at most {MAX_REASON_CHARS} characters.",
            hint="Say it shorter.",
        )


def withdrawn(
    loaded: Loaded, *, actor: Actor | None, asker: Asker | None = None, by: By = CORE
) -> Write:
    """Take a request back: its asker may, and whoever may decide on it.

    Args:
        loaded: With `standings` and `person` of the actor.
        actor: The person who does; None when an agent does.
        asker: The agent, then.
        by: For the record.

    Raises:
        UserError: `CONFLICT`: it has been decided, or is over.
        PolicyError: `FORBIDDEN`.
    """
    row = row_of(loaded)
    if row.status not in {Status.PENDING, Status.FAILED}:
        raise UserError(
            Code.CONFLICT,
            f"It is {row.status.value} already.",
            hint="What an applied change gave is taken back with `ironclaw grant revoke`.",
        )
    if actor is None:
        is_theirs = asker is not None and asker.is_agent and asker.agent == row.change.asker.agent
    else:
        is_theirs = (is_own(loaded) and Right.REQUEST in actor.limit) or not lacks(
            loaded, row.change.spec, actor
        )
    if not is_theirs:
        raise PolicyError(
            Code.FORBIDDEN,
            "Only its asker, and who may decide on it, can withdraw a request.",
            hint=f"`ironclaw change show {row.change.id}` says who that is.",
        )
    return Write(
        status=Status.WITHDRAWN,
        audit=(entry(AuditEvent.CHANGE_WITHDRAWN, row.change),),
        by=by,
        event="withdrawn",
    )


def expired(loaded: Loaded) -> Write:
    """End a request that nobody decided on in time; nothing when it is not due."""
    row = row_of(loaded)
    if row.status is not Status.PENDING or loaded.live.house.now_ms < row.change.expires_ms:
        return Write()
    return Write(
        status=Status.EXPIRED,
        audit=(entry(AuditEvent.CHANGE_EXPIRED, row.change),),
        event="expired",
    )


def escalated(loaded: Loaded) -> Write:
    """Say of a request that it waits for too long; once, and nothing when it is not due."""
    row = row_of(loaded)
    due_ms = row.change.created_ms + loaded.live.policy.escalate_s * 1000
    if row.status is not Status.PENDING or row.escalated or loaded.live.house.now_ms < due_ms:
        return Write()
    return Write(
        escalated=True,
        audit=(entry(AuditEvent.CHANGE_ESCALATED, row.change),),
        event="escalated",
    )
