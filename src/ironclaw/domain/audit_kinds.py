"""The closed table of the audit's events: when each is recorded, its fields, its words. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ironclaw.domain.audit import FIELDS, AuditEntry, AuditEvent, AuditRecord, Via


class Kind(NamedTuple):
    """One row of the table of events."""

    meaning: str
    """When it is recorded."""
    says: str
    """The record in words, with the names of its fields in braces. A part in brackets is left
    out when one of its fields has no value."""
    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


_CHANGE: Final = "the change {change} ({kind})[ for the agent {agent}]"
_GRANT: Final = "the grant {grant} of the change {change} ({kind})[ for the agent {agent}]"
_QUESTION: Final = "{question} of the agent {agent} (session {session}, turn {message})"
_ASKED: Final = ("question", "agent", "session", "message", "chat")

KINDS: Final[dict[AuditEvent, Kind]] = {
    AuditEvent.DAEMON_STARTED: Kind(
        "The core has opened its store and begins to work.",
        "started IronClaw {version}",
        must=("version",),
    ),
    AuditEvent.DAEMON_STOPPED: Kind(
        "The core was told to stop, has ended its boxes, and signs the last checkpoint.",
        "stopped IronClaw",
    ),
    AuditEvent.STORE_RECOVERED: Kind(
        "A start finds that the core before ended without `daemon.stopped` (a crash, a power cut).",
        "found that the daemon before had not been stopped, and went on from its store",
    ),
    AuditEvent.AUDIT_ROTATED: Kind(
        "Records up to a signed checkpoint were exported to a file, and removed here.",
        "exported the records up to {through} to the file {digest} and removed them",
        must=("through", "digest"),
    ),
    AuditEvent.AUDIT_ROLLED_BACK: Kind(
        "A start finds a store that is older than the newest checkpoint, or not of its chain.",
        "found a store that does not lead to the newest checkpoint, which is over record {through}",
        must=("through",),
    ),
    AuditEvent.TOKEN_MINTED: Kind(
        "A token is made.",
        "minted the token {name} ({token}) of {principal} with scope {words}",
        must=("token", "name", "principal", "words"),
    ),
    AuditEvent.TOKEN_REVOKED: Kind(
        "A token is ended.",
        "revoked the token {name} ({token}) of {principal}",
        must=("token", "name", "principal"),
    ),
    AuditEvent.TOKEN_USED: Kind(
        "A token is used for the first time since the daemon started.",
        "came in with the token {token} from {source}",
        must=("token", "source"),
    ),
    AuditEvent.AUTH_FAILED: Kind(
        "A request came without a valid token. At most one record a minute; `count` has the rest.",
        "refused {count} requests without a valid token, the last from {source}",
        must=("source", "count"),
    ),
    AuditEvent.ROLE_GIVEN: Kind(
        "A principal got a role, for all agents or for one.",
        "gave {principal} the role {role}[ for the agent {agent}][ by the change {change}]",
        must=("principal", "role"),
        may=("agent", "change"),
    ),
    AuditEvent.ROLE_TAKEN: Kind(
        "A role was taken from a principal.",
        "took the role {role} from {principal}[ for the agent {agent}][ by the change {change}]",
        must=("principal", "role"),
        may=("agent", "change"),
    ),
    AuditEvent.PERSON_LINKED: Kind(
        "Two principals are one person from now on.",
        "said that {principal} and {person} are one person[ by the change {change}]",
        must=("principal", "person"),
        may=("change",),
    ),
    AuditEvent.PERSON_UNLINKED: Kind(
        "A principal is a person of its own from now on.",
        "said that {principal} is a person of its own[ by the change {change}]",
        must=("principal",),
        may=("change",),
    ),
    AuditEvent.AGENT_CREATED: Kind(
        "An agent was made.",
        "created the agent {name} ({agent})[ by the change {change}]",
        must=("agent", "name"),
        may=("change",),
    ),
    AuditEvent.AGENT_CHANGED: Kind(
        "What an agent is or may do was changed.",
        "changed the agent {name} ({agent}): {kind}[ by the change {change}]",
        must=("agent", "name", "kind"),
        may=("change",),
    ),
    AuditEvent.AGENT_ARCHIVED: Kind(
        "An agent was ended.",
        "archived the agent {name} ({agent})[ by the change {change}]",
        must=("agent", "name"),
        may=("change",),
    ),
    AuditEvent.AGENT_RESTORED: Kind(
        "An agent that had been ended was brought back.",
        "restored the agent {name} ({agent})[ by the change {change}]",
        must=("agent", "name"),
        may=("change",),
    ),
    AuditEvent.WIRING_MADE: Kind(
        "A chat was wired to an agent.",
        "wired the chat {chat} to the agent {agent} (wiring {wiring})",
        must=("wiring", "chat", "agent"),
        may=("change",),
    ),
    AuditEvent.WIRING_REMOVED: Kind(
        "A wiring was removed.",
        "removed the wiring {wiring} of the chat {chat} to the agent {agent}",
        must=("wiring", "chat", "agent"),
        may=("change",),
    ),
    AuditEvent.CHAT_POLICY: Kind(
        "What happens to unknown senders of a chat was changed.",
        "set what happens to unknown senders of the chat {chat} to {reason}",
        must=("chat", "reason"),
        may=("change",),
    ),
    AuditEvent.TASK_MADE: Kind(
        "An agent was given a task.",
        "gave the agent {agent} the task {name} ({task})",
        must=("task", "agent", "name"),
        may=("change",),
    ),
    AuditEvent.TASK_REMOVED: Kind(
        "A task was taken from an agent.",
        "took the task {name} ({task}) from the agent {agent}",
        must=("task", "agent", "name"),
        may=("change",),
    ),
    AuditEvent.TASK_CHANGED: Kind(
        "A task was changed, paused or resumed by a change (`kind`).",
        "changed the task {name} ({task}) of the agent {agent}: {kind}[ by the change {change}]",
        must=("task", "agent", "name", "kind"),
        may=("change",),
    ),
    AuditEvent.TASK_PAUSED: Kind(
        "A task was paused because its turns had failed so many times, one after the other.",
        "paused the task {name} ({task}) of the agent {agent}: it had failed {count} times in a "
        "row",
        must=("task", "agent", "name", "count"),
    ),
    AuditEvent.TASK_RUN: Kind(
        "Somebody, or its own agent, has a task told now, beside its times.",
        "had the agent {agent} told of the task {name} ({task}) now[ by the message {message}]",
        must=("task", "agent", "name"),
        may=("message", "session"),
    ),
    AuditEvent.POLICY_CHANGED: Kind(
        "Who decides on changes was changed.",
        "changed the policy of the gateway[ by the change {change}]",
        may=("change",),
    ),
    AuditEvent.CHANGE_REQUESTED: Kind(
        "A change was asked for, and is kept. Words: what foreign content its agent had before it.",
        f"requested {_CHANGE}[, with foreign content before it: {{words}}]",
        must=("change", "kind"),
        may=("agent", "session", "digest", "words"),
    ),
    AuditEvent.CHANGE_REFUSED: Kind(
        "A request, or a decision, was refused. The change is the one decided on, or the denial "
        "that answers the request.",
        "was refused a change of the kind {kind}[ for the agent {agent}]: {code}[ (see {change})]",
        must=("kind", "code"),
        may=("change", "agent", "session"),
    ),
    AuditEvent.CHANGE_DECIDED: Kind(
        "A person, or a rule of the policy, approved or denied a change (`reason`). Words: "
        "`own-request` when somebody decided on their own request under solo mode, `by-policy` "
        "when a rule did.",
        f"{{reason}} {_CHANGE}[ ({{words}})]",
        must=("change", "kind", "reason"),
        may=("agent", "digest", "words"),
    ),
    AuditEvent.CHANGE_APPLIED: Kind(
        "What an approved change says was written, in the same transaction.",
        f"applied {_CHANGE}",
        must=("change", "kind"),
        may=("agent", "grant"),
    ),
    AuditEvent.CHANGE_DONE: Kind(
        "An applied change was seen to be in force in the running system.",
        f"saw {_CHANGE} in force",
        must=("change", "kind"),
        may=("agent",),
    ),
    AuditEvent.CHANGE_FAILED: Kind(
        "An approved change could not be applied; it can be tried again.",
        f"could not apply {_CHANGE}: {{code}}",
        must=("change", "kind", "code"),
        may=("agent",),
    ),
    AuditEvent.CHANGE_EXPIRED: Kind(
        "Nobody decided on a change in time.",
        f"ended {_CHANGE}: nobody had decided on it in time",
        must=("change", "kind"),
        may=("agent",),
    ),
    AuditEvent.CHANGE_ESCALATED: Kind(
        "A change waits for longer than the policy says: lists and `ironclaw status` show it as "
        "overdue, and whoever follows changes hears of it.",
        f"noted that {_CHANGE} waits for too long",
        must=("change", "kind"),
        may=("agent",),
    ),
    AuditEvent.CHANGE_WITHDRAWN: Kind(
        "A request was taken back.",
        f"withdrew {_CHANGE}",
        must=("change", "kind"),
        may=("agent",),
    ),
    AuditEvent.CHANGE_OVERTAKEN: Kind(
        "A request had nothing left to do, and was ended without an effect (`reason`): it had come "
        "true by other means, or what it was about is gone.",
        f"ended {_CHANGE}: nothing was left to do ({{reason}})",
        must=("change", "kind", "reason"),
        may=("agent",),
    ),
    AuditEvent.GRANT_GIVEN: Kind(
        "An applied change gave something that can be revoked, or expires.",
        f"gave {_GRANT}",
        must=("grant", "change", "kind"),
        may=("agent",),
    ),
    AuditEvent.GRANT_REVOKED: Kind(
        "A grant was ended before its time: somebody revoked it, or another one replaced it "
        "(`reason`).",
        f"ended {_GRANT}[ ({{reason}})]",
        must=("grant", "change", "kind"),
        may=("agent", "reason"),
    ),
    AuditEvent.GRANT_EXPIRED: Kind(
        "A grant has ended by itself: its time was over.",
        f"ended {_GRANT}: its time was over",
        must=("grant", "change", "kind"),
        may=("agent",),
    ),
    AuditEvent.ROUTER_REFUSED: Kind(
        "Somebody was not let in. At most one record a minute for each reason; `count` has the "
        "rest.",
        "did not let in {count} messages ({reason}), the last of {principal}",
        must=("channel", "principal", "reason", "count"),
    ),
    AuditEvent.LAUNCH_PROVEN: Kind(
        "A session was bound to a proven slot; its receipt is signed and stored, in the same "
        "transaction.",
        "bound the session {session} to the proven box {slot}, epoch {epoch}, receipt {receipt}",
        must=("agent", "session", "slot", "epoch"),
        may=("receipt",),
    ),
    AuditEvent.LAUNCH_REFUSED: Kind(
        "A launch could not be proven, so no session got it. Words: the checks that failed.",
        "refused the launch of {slot} for the agent {agent}: {code} {words}",
        must=("agent", "slot", "code"),
        may=("words",),
    ),
    AuditEvent.SESSION_STOPPED: Kind(
        "Somebody had a session's box killed. Recorded before it is.",
        "stopped the box of the session {session}",
        must=("session", "agent"),
    ),
    AuditEvent.SESSION_QUARANTINED: Kind(
        "A box broke the rules and its session was stopped for good. Words: which rule.",
        "quarantined the session {session}: {code} {words}",
        must=("agent", "session", "epoch", "code", "words"),
    ),
    AuditEvent.SESSION_FORGOTTEN: Kind(
        "A conversation was forgotten: what was said in it is removed, and its key is destroyed.",
        "forgot the session {session} of the agent {agent}",
        must=("session", "agent"),
        may=("change",),
    ),
    AuditEvent.MEMORY_EDITED: Kind(
        "Somebody replaces a topic of an agent's memory (`written`) or takes it away "
        "(`forgotten`). Recorded before it is done.",
        "edited the memory of the agent {agent}: a topic is {reason}",
        must=("agent", "reason"),
    ),
    AuditEvent.MEMORY_PURGED: Kind(
        "The notes of one session were taken out of an agent's memory. Count: of the notes.",
        "took {count} notes of the session {session} out of the memory of the agent {agent}",
        must=("agent", "session", "count"),
    ),
    AuditEvent.DELIVERY_DEAD: Kind(
        "A reply could not be delivered and will not be tried again.",
        "gave up the delivery {delivery} of a reply to {message} after {count} tries",
        must=("delivery", "message", "session", "chat", "count"),
    ),
    AuditEvent.DELIVERY_MARKED: Kind(
        "An agent sent something to one of its destinations with foreign content before it; people "
        "are told so above it. Words: what there was.",
        "marked the delivery {delivery} of the agent {agent} to the chat {chat}: it had foreign "
        "content before it ({words})",
        must=("delivery", "message", "session", "chat", "agent", "words"),
    ),
    AuditEvent.QUESTION_ASKED: Kind(
        "The turn of an agent asked its people something, and stands still until they answer. "
        "`message` is the one that the turn began with.",
        f"kept the question {_QUESTION}, in the chat {{chat}}",
        must=_ASKED,
    ),
    AuditEvent.QUESTION_ANSWERED: Kind(
        "Somebody answered a question of an agent, in the same transaction.",
        f"answered the question {_QUESTION}, in the chat {{chat}}",
        must=_ASKED,
    ),
    AuditEvent.QUESTION_EXPIRED: Kind(
        "Nobody answered a question in time; the agent is told so.",
        f"ended the question {_QUESTION}: nobody answered in time",
        must=_ASKED,
    ),
    AuditEvent.QUESTION_CANCELLED: Kind(
        "A question was closed without an answer (`reason`): its people wrote something else, or "
        "began a new conversation, or the agent may not ask any more. The agent is told so. "
        "Questions of a turn that was ended go with it, without a record.",
        f"closed the question {_QUESTION}, without an answer ({{reason}})",
        must=(*_ASKED, "reason"),
    ),
}
"""Every event: when it is recorded, how it reads, and which fields it has."""


def check(entry: AuditEntry) -> None:
    """Check that an entry has the fields of its event and no other.

    Raises:
        ValueError: It does not: a mistake of ours. The patterns of fields are checked with the
            record as a whole.
    """
    kind = KINDS[entry.event]
    for name in FIELDS:
        is_set = getattr(entry, name) not in {None, "", ()}
        if is_set and name not in kind.must and name not in kind.may:
            raise ValueError(f"{entry.event} has no field {name}")
        if not is_set and name in kind.must:
            raise ValueError(f"{entry.event} lacks the field {name}")


def in_words(record: AuditRecord) -> str:
    """One sentence: who did what, through what."""
    values = {name: _shown(getattr(record, name)) for name in FIELDS}
    said = _PART.sub(lambda part: _part(part[1], values), KINDS[record.event].says)
    who = record.actor or "The core"
    through = "" if record.via is Via.CORE else f" ({record.via})"
    return f"{who}{through} {said.format_map(values)}".rstrip() + "."


_PART: Final = re.compile(r"\[([^\[\]]*)\]")


def _part(text: str, values: dict[str, str]) -> str:
    """A part of a sentence, or nothing when a field in it has no value."""
    named = [name for name in FIELDS if f"{{{name}}}" in text]
    return text if all(values[name] not in {"-", ""} for name in named) else ""


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case tuple():
            return ", ".join(map(str, value))
    return str(value)
