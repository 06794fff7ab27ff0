"""Which directories of the host an agent sees under /shared."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import NAME_RULE, Bearing, Needs, PutAgent, Spec, Topic
from ironclaw.domain.changes.checking import check_word, existing, living, not_there, nothing_to_do
from ironclaw.domain.changes.skills import POINT as SKILLS
from ironclaw.domain.model import Role, SharedMount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import HostDir, House, Live, Op, State

MAX_MOUNTS: Final = 16
"""Of one agent."""


class AddMount(Spec, frozen=True, kw_only=True, tag="mount.add"):
    """Show a directory of the host to an agent."""

    topic: ClassVar = Topic.MOUNTS
    title: ClassVar = "Show a directory of the host to an agent"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    deciders: ClassVar = frozenset({Role.OWNER, Role.ADMIN})
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
        "path": "directory",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    path: Annotated[str, msgspec.Meta(min_length=2, max_length=1024)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, path=self.path)

    def check(self, live: Live) -> None:
        # Where it may be comes first: nobody learns here what there is elsewhere on the host.
        _check_path(self.path)
        _check_place(PurePosixPath(self.path), live.house)
        agent = living(live)
        if self.name == SKILLS:
            raise UserError(
                Code.INVALID,
                f"/shared/{SKILLS} is where an agent's skills are.",
                hint="Choose another name.",
            )
        if (known := _named(live, self.name)) is not None:
            if known.path == self.path:
                raise nothing_to_do("The agent sees that directory, by that name, already.")
            raise UserError(
                Code.CONFLICT,
                f"The agent sees a directory as {self.name} already.",
                hint="Choose another name, or take that one away first.",
            )
        if len(agent.mounts) >= MAX_MOUNTS:
            raise UserError(
                Code.CONFLICT,
                f"An agent sees at most {MAX_MOUNTS} directories.",
                hint="Take one away first.",
            )
        _check_directory(self.path, live.directory)
        if (same := _same(agent.mounts, live.directory)) is not None:
            raise UserError(
                Code.CONFLICT,
                f"The agent sees that directory already, as {same.name}.",
                hint="One name is enough: take that one away first to give it another.",
            )

    def before(self, live: Live) -> State:
        return _state(_named(live, self.name)) | _identity(live.directory)

    def after(self, live: Live) -> State:
        return {"shown as": self.name, "directory": self.path} | _identity(live.directory)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"mount:{self.agent}:{self.path}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        agent = existing(live)
        if live.directory is None:
            return ()
        mount = SharedMount(
            name=self.name,
            path=self.path,
            device=live.directory.device,
            inode=live.directory.inode,
        )
        others = tuple(one for one in agent.mounts if one.name != self.name)
        return (PutAgent(msgspec.structs.replace(agent, mounts=(*others, mount))),)

    def inverse(self, live: Live, change: ChangeId) -> RemoveMount:
        return RemoveMount(agent=self.agent, name=self.name)


class RemoveMount(Spec, frozen=True, kw_only=True, tag="mount.remove"):
    """Take a shared directory from an agent."""

    topic: ClassVar = Topic.MOUNTS
    title: ClassVar = "Take a shared directory from an agent"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    deciders: ClassVar = frozenset({Role.OWNER, Role.ADMIN})
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        living(live)
        if _named(live, self.name) is None:
            raise not_there(f"The agent sees no directory as {self.name}.")

    def before(self, live: Live) -> State:
        return _state(_named(live, self.name))

    def after(self, live: Live) -> State:
        return _state(None)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"mount.remove:{self.agent}:{self.name}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        agent = existing(live)
        others = tuple(one for one in agent.mounts if one.name != self.name)
        return (PutAgent(msgspec.structs.replace(agent, mounts=others)),)

    def inverse(self, live: Live, change: ChangeId) -> AddMount | None:
        known = _named(live, self.name)
        if known is None:
            return None
        return AddMount(agent=self.agent, name=self.name, path=known.path)


def _check_path(path: str) -> None:
    check_word(path, what="path")
    pure = PurePosixPath(path)
    if not pure.is_absolute() or str(pure) != path or path.startswith("//") or ".." in pure.parts:
        raise UserError(
            Code.INVALID,
            "The path is not absolute, or has `..`, `.` or `//` in it.",
            hint="Give it as `realpath` prints it.",
        )


def _check_place(path: PurePosixPath, house: House) -> None:
    if not house.mount_roots:
        raise PolicyError(
            Code.FORBIDDEN,
            "No directory of this host is shared with agents.",
            hint="Name those below which some may be in the setting `gateway.mount_roots`.",
        )
    if not any(PurePosixPath(root) in path.parents for root in house.mount_roots):
        raise PolicyError(
            Code.FORBIDDEN,
            "That directory is not below one that the setting `gateway.mount_roots` names.",
            hint="Share one that is, or ask whoever runs this host.",
        )
    for own in map(PurePosixPath, house.own_dirs):
        if path == own or own in path.parents or path in own.parents:
            raise PolicyError(
                Code.FORBIDDEN,
                "That directory is the house's own, or has one of those in it.",
                hint="Share another one.",
            )


def _same(mounts: Sequence[SharedMount], there: HostDir | None) -> SharedMount | None:
    """The mount that shows the same directory: a box can have each only once."""
    if there is None:
        return None
    identity = (there.device, there.inode)
    return next((one for one in mounts if (one.device, one.inode) == identity), None)


def _check_directory(path: str, found: HostDir | None) -> None:
    if found is None or not found.real:
        raise UserError(
            Code.NOT_FOUND, "There is nothing at that path.", hint="Make the directory first."
        )
    if found.real != path:
        raise UserError(
            Code.INVALID,
            "There is a link in that path.",
            hint="Give it as `realpath` prints it: what is approved must be what is shown.",
        )
    if not found.is_dir:
        raise UserError(
            Code.INVALID, "That is no directory.", hint="Share the directory that it is in."
        )
    if not found.is_readable:
        raise UserError(
            Code.INVALID,
            "Others may not read that directory, and in its box an agent is nobody.",
            hint="`chmod o+rx` it, or share another one.",
        )


def _named(live: Live, name: str) -> SharedMount | None:
    known = () if live.agent is None else live.agent.mounts
    return next((one for one in known if one.name == name), None)


def _state(known: SharedMount | None) -> State:
    if known is None:
        return {"shown as": None, "directory": None}
    return {"shown as": known.name, "directory": known.path}


def _identity(found: HostDir | None) -> State:
    """Which directory is there: an approval of another one under the same path does not count."""
    return {"device and inode": None if found is None else f"{found.device}:{found.inode}"}
