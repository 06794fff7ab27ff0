"""What a kind of change is: typed fields, and pure answers about them.

A spec is the part of a change that says what shall be. It names everything by id, so that what was
approved stays the same thing when names move on. Its methods get the state that they asked for:

    needs -> (the store loads Live) -> check -> before, after -> (card, decision) -> ops
                                                                 inverse -> (the grant's revocation)

`before` and `after` have the same names. That one pair makes the diff on the card, the version of
the state that an approval is bound to (before), the proof that it took effect (after == the next
before), and what a repeat of an interrupted apply compares with.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import msgspec

from ironclaw.domain.model import Role

if TYPE_CHECKING:
    from ironclaw.core.ids import (
        AgentId,
        ChangeId,
        ChatId,
        PrincipalId,
        SessionId,
        TaskId,
        WiringId,
    )
    from ironclaw.domain.model import (
        Agent,
        Chat,
        Session,
        Standing,
        Task,
        UnknownSender,
        Wiring,
    )
    from ironclaw.domain.policy import Policy
    from ironclaw.domain.rights import Right
    from ironclaw.domain.skills import KeptSkill

State = dict[str, "str | int | list[str] | None"]
"""The part of the live state that a change is about: names as people read them, plain values."""

NAME_RULE: Final = r"\A[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z"
"""Names of agents, destinations, mounts and tasks."""
MAX_PERSONA_BYTES: Final = 64 * 1024


class Topic(enum.StrEnum):
    """The kinds, as policy rules name them. Each is one module."""

    PERSONA = "persona"
    MODEL = "model"
    TOOLS = "tools"
    WIRING = "wiring"
    ACCESS = "access"
    DESTINATIONS = "destinations"
    MOUNTS = "mounts"
    SKILLS = "skills"
    LIMITS = "limits"
    TASKS = "tasks"
    AGENTS = "agents"
    SESSIONS = "sessions"
    POLICY = "policy"


class Bearing(enum.StrEnum):
    """What a change does to what the agent, or a person, may do."""

    WIDENS = "widens"
    NARROWS = "narrows"
    """Only takes away: nobody can do anything afterwards that they could not before."""
    ALTERS = "alters"


# --- the live state -------------------------------------------------------------------------------


class Needs(NamedTuple):
    """What a spec has to be told of the live state."""

    agent: AgentId | None = None
    agent_name: str | None = None
    """An agent that has this name now, archived ones not counted."""
    place: tuple[str, str] | None = None
    """Channel and platform id of a chat."""
    wiring: WiringId | None = None
    """That wiring, and the chat that it is of."""
    principal: PrincipalId | None = None
    other: PrincipalId | None = None
    """A second principal, whose person matters."""
    session: SessionId | None = None
    task: tuple[AgentId, str] | None = None
    """Agent and name of a task."""
    path: str | None = None
    """A directory of the host to look at."""
    peer: str | None = None
    """Another agent: the name of one that is there, or an id."""


class HostDir(NamedTuple):
    """What is at a path of the host, as far as a mount may care."""

    real: str
    """The path with every link followed; empty when nothing is there."""
    is_dir: bool
    device: int
    inode: int
    is_readable: bool
    """By others: the box's ids are nobody's."""


class House(NamedTuple):
    """What does not change while the core runs."""

    now_ms: int
    models: tuple[str, ...]
    """Providers that there are: the part of a model's name before `/`."""
    tools: tuple[str, ...]
    channels: tuple[str, ...]
    """By their names: a chat is of one of them."""
    mount_roots: tuple[str, ...]
    """Directories below which shared mounts may be; empty: none may."""
    own_dirs: tuple[str, ...]
    """Directories of the house itself: nothing of them is ever mounted."""
    skills: tuple[KeptSkill, ...] = ()
    """Those that were imported; looked up only for what is about skills."""


class Live(NamedTuple):
    """The live state that was asked for; what was not, or is not there, is None or empty."""

    house: House
    policy: Policy
    agent: Agent | None = None
    named: Agent | None = None
    """Who has the name that was asked for, or the one that `agent`, archived, would need back."""
    chat: Chat | None = None
    wirings: tuple[Wiring, ...] = ()
    """Of `chat`, or the one that was asked for."""
    standings: tuple[Standing, ...] = ()
    """Of `principal`."""
    owners: tuple[PrincipalId, ...] = ()
    """Everybody who is an owner; always there, whatever was asked for."""
    owner_persons: tuple[PrincipalId, ...] = ()
    """The persons that they are, each once; always there."""
    person: PrincipalId | None = None
    """Who `principal` is: itself, unless it was linked."""
    tokens: int = 0
    """How many active tokens `principal` has."""
    joined: tuple[PrincipalId, ...] = ()
    """Who else is that person because they were linked to `principal`."""
    other_person: PrincipalId | None = None
    session: Session | None = None
    task: Task | None = None
    tasks: int = 0
    """How many the agent has."""
    agents: int = 0
    """How many there are, archived ones not counted."""
    directory: HostDir | None = None
    peer: Agent | None = None


# --- what follows from an applied change ----------------------------------------------------------


class NewAgent(NamedTuple):
    """An agent that was not there; the store gives it a lane."""

    agent: Agent


class PutAgent(NamedTuple):
    """An agent as it is from now on; its lane and whether it is archived stay."""

    agent: Agent


class SetArchived(NamedTuple):
    """End an agent, or bring it back."""

    agent: AgentId
    archived: bool


class PutChat(NamedTuple):
    """A chat, made if it is not there, and what happens to its unknown senders."""

    chat: ChatId
    """Its id if it has to be made."""
    channel: str
    platform_id: str
    strangers: UnknownSender | None
    """None leaves it as it is."""


class PutWiring(NamedTuple):
    """A wiring; its `chat` is the one of that place, whatever id that has."""

    wiring: Wiring
    channel: str
    platform_id: str


class DropWiring(NamedTuple):
    """A wiring that is no more."""

    wiring: WiringId


class PutStanding(NamedTuple):
    """A role that is held from now on."""

    standing: Standing


class DropStanding(NamedTuple):
    """A role that is not held any more."""

    standing: Standing


class PutPerson(NamedTuple):
    """Which person a principal is; itself to part it from any other."""

    principal: PrincipalId
    person: PrincipalId


class PutTask(NamedTuple):
    """A task, and when it is due first."""

    task: Task


class DropTask(NamedTuple):
    """A task that is no more."""

    task: TaskId
    agent: AgentId


class ForgetSession(NamedTuple):
    """A session whose key is destroyed."""

    session: SessionId
    agent: AgentId


class ForgetNotes(NamedTuple):
    """What an agent noted in one session: taken out of its memory."""

    session: SessionId
    agent: AgentId


class PutPolicy(NamedTuple):
    """The policy from now on."""

    policy: Policy


Op = (
    NewAgent
    | PutAgent
    | SetArchived
    | PutChat
    | PutWiring
    | DropWiring
    | PutStanding
    | DropStanding
    | PutPerson
    | PutTask
    | DropTask
    | ForgetSession
    | ForgetNotes
    | PutPolicy
)
"""One thing to be written, in the transaction that marks the change applied; all are idempotent."""


# --- the spec -------------------------------------------------------------------------------------


class _AbstractStruct(msgspec.StructMeta, abc.ABCMeta):
    """A struct whose abstract methods every kind has to have."""


class Spec(
    msgspec.Struct,
    metaclass=_AbstractStruct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
):
    """Base of all specs. A subclass is one thing that can be asked for; its tag is its name.

    Trust:
        Fields come from a model or a client: every text and list has a bound in its type.
    """

    topic: ClassVar[Topic]
    title: ClassVar[str]
    """What it is, in a few words, for the head of a card."""
    by_agents: ClassVar[bool] = False
    """Whether an agent may ask for it, and then only about itself."""
    deciders: ClassVar[frozenset[Role]] = frozenset({Role.OWNER, Role.ADMIN, Role.APPROVER})
    """Roles that may decide on it, held globally or for its agent; a policy can only name fewer."""
    always_human: ClassVar[bool] = True
    """Whether no rule of the policy may allow it without a person, whatever its bearing."""
    has_way_back: ClassVar[bool] = True
    """Whether `inverse` knows one: False for what can never be undone."""
    may_end: ClassVar[bool] = False
    """Whether it may be for a time though it only takes away: its end gives back what was there."""
    is_whole: ClassVar[bool] = False
    """Whether any later change of its topic, of the same agent, replaces what this one gave."""
    labels: ClassVar[Mapping[str, str]]
    """Every field's name on the card. A field without one refuses to be shown."""

    @property
    @abc.abstractmethod
    def agent_id(self) -> AgentId | None:
        """Whose rights it is about; None for the whole house."""

    @abc.abstractmethod
    def needs(self) -> Needs:
        """What must be loaded for the other methods."""

    @abc.abstractmethod
    def check(self, live: Live) -> None:
        """Refuse what makes no sense or may never be.

        Raises:
            UserError: `INVALID`, `NOT_FOUND` or `CONFLICT`: also when there is nothing to do.
            PolicyError: `FORBIDDEN`.
        """

    @abc.abstractmethod
    def before(self, live: Live) -> State:
        """The state it is about, as it is now. Must not raise, whatever `live` has."""

    @abc.abstractmethod
    def after(self, live: Live) -> State:
        """The same state, as it will be; the names are those of `before`."""

    @abc.abstractmethod
    def bearing(self, live: Live) -> Bearing:
        """What it does to rights. When in doubt: widens."""

    def notices(self) -> tuple[str, ...]:
        """What whoever decides has to know of it beside its fields, in the host's words."""
        return ()

    @abc.abstractmethod
    def atoms(self) -> frozenset[str]:
        """What it would give, in comparable pieces: `tool:agt_…:write_file`.

        A denial is remembered by these, whatever else stood beside them in the request.
        """

    @abc.abstractmethod
    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        """What is to be written. New ids are made of the change's own, so a repeat makes no second.

        Called in the transaction that applies it, after `check` has passed on the same `live`.
        """

    @abc.abstractmethod
    def inverse(self, live: Live, change: ChangeId) -> Spec | None:
        """What takes it back, from the state before it; None when nothing can.

        `change` is the id that `ops` makes new ids of.
        """

    def is_gone(self, live: Live) -> bool:  # noqa: ARG002 - most kinds need not be told
        """Whether the very thing that it would change is gone for good, whatever comes later.

        Not where it takes that away: then it has come true. When in doubt: False.
        """
        return False

    def has_come_true(self, live: Live) -> bool:
        """Whether all that it asks for is so already; of a state that hides parts, those too."""
        return self.before(live) == self.after(live)

    def deciders_for(self) -> frozenset[Role]:
        """Roles that may decide on this very one: `deciders`, or fewer."""
        return self.deciders

    def demands(self) -> frozenset[Right]:
        """Rights that whoever decides must hold over its agent: nobody gives what they have not."""
        return frozenset()

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        """What of the inverse still takes back what this gave; None when all is otherwise by now.

        Args:
            live: The state of now, as `needs` asks for it.
            inverse: What `inverse` said when it was applied.
        """
        return inverse if self.before(live) == self.after(live) else None

    def reaches(self, live: Live) -> AgentId | None:  # noqa: ARG002 - most kinds reach nobody
        """Another agent to which its agent has a way by what this gave, as it is now.

        Whoever decides for that one may take the way back too: it leads to what is theirs.
        """
        return None

    def is_left(self, live: Live, inverse: Spec) -> bool:
        """Whether anything of what this gave is there still, though nothing may take it back now.

        Told the same as `way_back`.
        """
        return self.way_back(live, inverse) is not None


def derived_id(prefix: str, change: ChangeId) -> str:
    """An id that one change always makes the same."""
    return f"{prefix}_{change.partition('_')[2]}"
