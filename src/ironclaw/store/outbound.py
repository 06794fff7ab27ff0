"""Taking in what a box wrote: the rules that a record must keep, and what follows from it.

take_in: epoch, chain position -> each new record: turn, index, targets -> rows -> session moves on

Trust:
    The airlock has checked that each record is of the contract and of this session's chain. What a
    record *says* is still the word of a box that may be hostile: every id in it is looked up, and
    what people said is never taken from it, only from the host's own rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import PeerError, UserError
from ironclaw.domain.model import MessageStatus, SessionState
from ironclaw.domain.ports import Committed
from ironclaw.domain.principals import AGENT_CHANNEL
from ironclaw.domain.questions import TOOL as ASK_USER
from ironclaw.domain.questions import misfit
from ironclaw.store import task_outcomes
from ironclaw.store.file_rows import Most
from ironclaw.store.hearing import hear, heard_by, with_answers
from ironclaw.store.informing import inform
from ironclaw.store.message_rows import (
    Target,
    add_delivery,
    begin_turn,
    close_message,
    find_target,
)
from ironclaw.store.outgoing import claim, drop_unclaimed, take_part
from ironclaw.store.question_rows import ask as keep_question
from ironclaw.store.question_rows import check_answers, has_open, is_asked
from ironclaw.store.summary_rows import keep_summary
from ironclaw.store.taint_rows import taint_turn
from ironclaw.store.tampering import tamper as _tamper
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Said, Thought
from ironclaw_contract.limits import MAX_BODY_BYTES
from ironclaw_contract.records import Part, Step, Summary, Trouble, TurnEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import apsw

    from ironclaw.core.ids import MessageId, SessionId
    from ironclaw.domain.model import Delivery
    from ironclaw.domain.ports import Worked
    from ironclaw.domain.wall import Outbound
    from ironclaw.store.content import Content
    from ironclaw_contract.records import OutboundBody

CODES: Final[dict[WireCode, Code]] = {
    WireCode.TOO_LARGE: Code.TOO_LARGE,
    WireCode.MALFORMED: Code.BOX_BROKEN,
    WireCode.NOT_GRANTED: Code.FORBIDDEN,
    WireCode.BUSY: Code.UNAVAILABLE,
    WireCode.CANCELLED: Code.STOPPED,
    WireCode.MODEL_REFUSED: Code.MODEL_FAILED,
    WireCode.MODEL_UNAVAILABLE: Code.MODEL_FAILED,
    WireCode.CONTEXT_TOO_LONG: Code.TOO_LARGE,
    WireCode.TOO_MANY_STEPS: Code.TOO_MANY_STEPS,
    WireCode.BUDGET_SPENT: Code.RATE_LIMITED,
    WireCode.GOES_IN_CIRCLES: Code.TOO_MANY_STEPS,
    WireCode.INTERNAL: Code.BOX_BROKEN,
}
"""The code of a failed turn on every surface of the host."""

_OF_MODELS: Final = frozenset(
    {
        WireCode.MODEL_REFUSED,
        WireCode.MODEL_UNAVAILABLE,
        WireCode.BUSY,
        WireCode.CONTEXT_TOO_LONG,
        WireCode.BUDGET_SPENT,
    }
)
"""Failures of which the host may know more than their code."""

Why: TypeAlias = "Callable[[str, str], str]"
"""What people are told of a failed turn, by session and turn; empty: what `WORDS` has."""

WORDS: Final[dict[WireCode, str]] = {
    WireCode.TOO_LARGE: "That was too large to work with. Please send something shorter.",
    WireCode.MALFORMED: "The agent could not make sense of its own data. Please try again.",
    WireCode.NOT_GRANTED: "The agent is not allowed to do what this needs.",
    WireCode.BUSY: "The agent has too much to do at the moment. Please try again later.",
    WireCode.CANCELLED: "The work on your message was stopped.",
    WireCode.MODEL_REFUSED: "The model refused this request for good; trying again will not help.",
    WireCode.MODEL_UNAVAILABLE: "The model cannot be reached now. Please try again later.",
    WireCode.CONTEXT_TOO_LONG: "This conversation has become too long for the model.",
    WireCode.TOO_MANY_STEPS: "The agent used all the steps it may take without coming to an end. "
    "Ask for less at once.",
    WireCode.BUDGET_SPENT: "The agent is paused: what it may use of its model is used up. People "
    "can raise that: `ironclaw agent limits`.",
    WireCode.GOES_IN_CIRCLES: "The agent did the same thing again and again without getting on, "
    "and was stopped. Say what it should do differently.",
    WireCode.INTERNAL: "Something went wrong on our side. Please try again.",
}
"""What a person is told when a turn failed: the host's own words, never the box's."""

_LEFT_OUT: Final = (
    "[A file could not be sent: this conversation has no more room for files. /new begins another.]"
)
_LEFT_OUT_YOU: Final = (
    "Files that you sent here and that did not arrive: {count}. There is no more room for files in "
    "this conversation, or in all of yours together. Those you talk with were told so."
)
"""The same for the agent, which cannot know it when it sends one."""


def take_in(
    db: apsw.Connection,
    content: Content,
    *,
    session: SessionId,
    epoch: int,
    out: Outbound,
    now_ms: int,
    worked: Worked | None = None,
    why: Why = lambda _session, _turn: "",
    files: Most | None = None,
) -> Committed:
    """Apply the records that are new. Raises PeerError (`TAMPER`, `QUARANTINED`)."""
    row = db.execute(
        "SELECT epoch, out_seq, state FROM session WHERE id = ?", (session,)
    ).fetchone()
    if row is None:
        raise UserError(Code.NOT_FOUND, f"There is no session {session}.", hint="List them first.")
    held_epoch, out_seq, state = row
    if epoch != held_epoch:
        raise _tamper("epoch", f"records of epoch {epoch} in epoch {held_epoch}")
    if out.last_seq <= out_seq or state == SessionState.FORGOTTEN:
        # What a box still says while it is being ended shall not outlive the conversation.
        return Committed((), ())
    if state == SessionState.QUARANTINED:
        raise PeerError(
            Code.QUARANTINED, "The session is quarantined.", hint="Nothing more is taken from it."
        )
    if out.first_seq > out_seq + 1:
        raise _tamper("gap", f"record {out.first_seq} after {out_seq}")
    taking = _Taking(db, content, session, epoch, now_ms, why=why, files=files or Most())
    for seq, body in enumerate(out.bodies, start=out.first_seq):
        if seq <= out_seq:
            continue
        taking.record(seq, body)
    if worked is not None:
        db.execute(
            "UPDATE message SET worked_ms = ? WHERE id = ? AND session = ?",
            (worked.ms, worked.turn, session),
        )
    db.execute(
        "UPDATE session SET out_seq = ?, out_hash = ?, active_ms = ? WHERE id = ?",
        (out.last_seq, out.last_hash, now_ms, session),
    )
    return Committed(tuple(taking.deliveries), tuple(taking.answered))


class _Agent(msgspec.Struct):
    """What matters here of an agent."""

    max_steps: int
    tools: tuple[str, ...] = ()
    mounts: tuple[msgspec.Raw, ...] = ()
    skills: tuple[msgspec.Raw, ...] = ()


class _Taking:
    """One transaction's worth of records."""

    def __init__(
        self,
        db: apsw.Connection,
        content: Content,
        session: SessionId,
        epoch: int,
        now_ms: int,
        *,
        why: Why,
        files: Most,
    ) -> None:
        self._db = db
        self._content = content
        self._session = session
        self._epoch = epoch
        self._now_ms = now_ms
        self._why = why
        self._files = files
        self.deliveries: list[Delivery] = []
        self.answered: list[MessageId] = []
        self._left_out = 0
        """Files of the record for which there was no room."""

    def record(self, seq: int, body: OutboundBody) -> None:
        if isinstance(body, Step | TurnEnd):
            self.turn_record(seq, body)
        elif isinstance(body, Part):
            take_part(
                self._db,
                self._content,
                session=self._session,
                part=body,
                most=self._files,
                now_ms=self._now_ms,
            )
        elif isinstance(body, Summary):
            self.summary(body)
        elif not isinstance(body, Trouble):
            raise _tamper("kind", f"a {type(body).__name__} where nothing takes one")

    def turn_record(self, seq: int, body: Step | TurnEnd) -> None:
        target = self._own(body.turn, "turn")
        self._check(target, body)
        if body.index == 0:
            self._only_turn(target)
            begin_turn(self._db, target)
        hear(self._db, target, index=body.index, heard=body.heard)
        entries = tuple(entry for entry in body.entries if not isinstance(entry, Said))
        if entries:
            sealed = self._content.seal(
                self._session, f"step/{target.id}/{body.index}", msgspec.msgpack.encode(entries)
            )
            self._db.execute("INSERT INTO step VALUES (?, ?, ?)", (target.id, body.index, sealed))
            taint_turn(self._db, target, entries, has_shared=self._has_shared)
            if isinstance(body, Step) and body.index > 0:
                self._check_size(target)
        self._db.execute(
            "UPDATE message SET next_index = ? WHERE n = ?", (body.index + 1, target.n)
        )
        for position, say in enumerate(body.says):
            answers = target if say.reply_to == target.id else self._own(say.reply_to, "reply")
            if not say.files and task_outcomes.is_silent(self._db, answers, say.text):
                continue
            key, goes_on = f"{self._epoch}/{seq}/{position}", not _is_answer(body)
            self._say(key, answers, say.text, files=say.files, goes_on=goes_on)
        drop_unclaimed(self._db, self._session)
        self._tell_left_out(seq, target)
        if isinstance(body, TurnEnd):
            self._end(seq, target, body)
        else:
            self._asks(seq, target, body)

    def _tell_left_out(self, seq: int, target: Target) -> None:
        """Tell the agent of files for which there was no room, before what is said to it next."""
        if self._left_out:
            inform(
                self._db,
                self._content,
                session=self._session,
                text=_LEFT_OUT_YOU.format(count=self._left_out),
                key=f"left-out/{self._epoch}/{seq}",
                now_ms=self._now_ms,
                at=target,
            )
        self._left_out = 0

    def _check(self, target: Target, body: Step | TurnEnd) -> None:
        """Whether this record may come next of its turn."""
        if not target.engage or target.status != MessageStatus.PENDING:
            raise _tamper("turn", f"{body.turn} is not waiting for an answer")
        if body.index != target.next_index:
            raise _tamper("index", f"step {body.index} where {target.next_index} comes next")
        # What one message may make of the ledger and of its chat has an end.
        if body.index > 0 and body.index > (most := self._most_steps()):
            raise _tamper("steps", f"step {body.index} of a turn of {most}")
        if has_open(self._db, self._session, target.id):
            raise _tamper("asks", f"{target.id} goes on before people have answered")
        if wrong := check_answers(self._db, self._content, target.id, body.entries):
            raise _tamper("answer", f"nobody answered {wrong} of {target.id} so")

    def _asks(self, seq: int, target: Target, body: Step) -> None:
        """Questions to people, each of a call of the tool that this very record has."""
        if not body.asks:
            return
        # In the conversation of two agents there is nobody who could answer.
        may_ask = ASK_USER in self._of_agent().tools and not self._is_between_agents(target)
        for position, ask in enumerate(body.asks):
            if problem := misfit(ask, body.entries):
                raise _tamper("asks", f"{ask.call} of {target.id} {problem}")
            if is_asked(self._db, target.id, ask.call):
                raise _tamper("asks", f"{ask.call} of {target.id} was asked before")
            told = keep_question(
                self._db,
                self._content,
                ask,
                key=f"{self._epoch}/{seq}/asks/{position}",
                target=target,
                may_ask=may_ask,
                now_ms=self._now_ms,
            )
            if told is not None:
                self.deliveries.append(told)

    def _is_between_agents(self, target: Target) -> bool:
        ((channel,),) = list(
            self._db.execute("SELECT channel FROM chat WHERE id = ?", (target.chat,))
        )
        return bool(channel == AGENT_CHANNEL)

    def summary(self, body: Summary) -> None:
        if wrong := keep_summary(self._db, self._content, self._session, body, now_ms=self._now_ms):
            raise _tamper("summary", wrong)

    def _end(self, seq: int, target: Target, body: TurnEnd) -> None:
        code = None if body.failed is None else CODES[body.failed]
        if body.failed is None:
            close_message(self._db, target, MessageStatus.ANSWERED)
        else:
            close_message(self._db, target, MessageStatus.FAILED)
            known = self._why(self._session, target.id) if body.failed in _OF_MODELS else ""
            words = known or WORDS[body.failed]
            self._say(f"{self._epoch}/{seq}/failed", target, words, code=code)
        self.deliveries += task_outcomes.ended(
            self._db, self._content, target, code=code, now_ms=self._now_ms
        )
        joined = heard_by(self._db, target.id)
        for one in joined:
            if (said := find_target(self._db, one)) is not None:
                self.deliveries += task_outcomes.ended(
                    self._db, self._content, said, code=code, now_ms=self._now_ms
                )
        self.answered += (target.id, *joined)

    def _say(
        self,
        key: str,
        target: Target,
        text: str,
        *,
        code: Code | None = None,
        files: Sequence[str] = (),
        goes_on: bool = False,
    ) -> None:
        clean = text.replace("\0", "")
        claimed = claim(self._db, self._content, session=self._session, ids=files, target=target)
        if claimed.left_out:
            clean = f"{clean}\n\n{_LEFT_OUT}".strip()
            self._left_out += claimed.left_out
        # No platform can show blank text; saying nothing is the agent's right.
        if clean.strip() or claimed.files:
            said = add_delivery(
                self._db,
                self._content,
                key=key,
                target=target,
                text=clean,
                code=code,
                files=claimed.files,
                goes_on=goes_on,
                now_ms=self._now_ms,
            )
            # One that is said of another turn finds none: that turn is over, or not begun.
            self.deliveries.append(with_answers(self._db, said, heard_by(self._db, target.id)))

    def _own(self, message: str, what: str) -> Target:
        target = find_target(self._db, message)
        if target is None or target.session != self._session:
            raise _tamper(what, f"{message} is not a message of this session")
        return target

    def _most_steps(self) -> int:
        return self._of_agent().max_steps

    def _of_agent(self) -> _Agent:
        ((body,),) = list(
            self._db.execute(
                "SELECT a.body FROM session s JOIN agent a ON a.id = s.agent WHERE s.id = ?",
                (self._session,),
            )
        )
        return msgspec.msgpack.decode(body, type=_Agent)

    def _has_shared(self) -> bool:
        agent = self._of_agent()
        return bool(agent.mounts or agent.skills)

    def _check_size(self, target: Target) -> None:
        """An open turn is told to a fresh box as one record: it must fit."""
        ((size,),) = list(
            self._db.execute("SELECT sum(length(sealed)) FROM step WHERE turn = ?", (target.id,))
        )
        if size > MAX_BODY_BYTES:
            raise _tamper("size", f"the steps of {target.id} have {size} bytes")

    def _only_turn(self, target: Target) -> None:
        row = self._db.execute(
            "SELECT id FROM message WHERE session = ? AND open = 1 AND next_index > 0",
            (self._session,),
        ).fetchone()
        if row is not None:
            raise _tamper("turn", f"{target.id} begins while {row[0]} is open")


def _is_answer(body: Step | TurnEnd) -> bool:
    """Whether what a record says is an answer: of a step, when words of the model end it.

    What is said beside the results of tools is said while the agent is at work.
    """
    said = [entry for entry in body.entries if not isinstance(entry, Thought)]
    return isinstance(body, TurnEnd) or (bool(said) and isinstance(said[-1], Answered))
