"""Which skills an agent has: instructions and data of people's choice, in `/shared/skills`."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import Bearing, Needs, PutAgent, Spec, Topic
from ironclaw.domain.changes.checking import existing, living, not_there, nothing_to_do
from ironclaw.domain.model import Agent, Role, Skill
from ironclaw.domain.skills import DIGEST_RULE, MAX_NAME, MAX_SKILLS, NAME_RULE

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State
    from ironclaw.domain.skills import KeptSkill

POINT: Final = "skills"
"""The directory below `/shared` that skills lie in: no shared directory has that name."""
_Name = Annotated[str, msgspec.Meta(pattern=NAME_RULE, max_length=MAX_NAME)]
_NAMES: Final = (
    "skill",
    "digest",
    "description",
    "signed by",
    "license",
    "would use tools that the agent has",
    "would use what the agent has not, and gets nothing of by this",
    "files",
    "instructions",
)


class AddSkill(Spec, frozen=True, kw_only=True, tag="skill.add"):
    """Give a skill to an agent."""

    topic: ClassVar = Topic.SKILLS
    title: ClassVar = "Give a skill to an agent"
    by_agents: ClassVar = True
    deciders: ClassVar = frozenset({Role.OWNER, Role.ADMIN})
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
        "digest": "digest of all its files",
    }

    agent: AgentId
    name: _Name
    digest: Annotated[str, msgspec.Meta(pattern=DIGEST_RULE, max_length=71)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        agent = living(live)
        kept = self._kept(live)
        if kept is None:
            raise UserError(
                Code.NOT_FOUND,
                f"This house has no skill {self.name} of that digest, or has it no more: it was "
                "dropped. Import it again.",
                hint="`ironclaw skill import FILE`; `ironclaw skill list` shows those there are.",
            )
        if not kept.is_trusted:
            raise PolicyError(
                Code.FORBIDDEN,
                f"The skill {self.name} is not signed by a key that the settings trust.",
                hint="Name its key in `skills.trusted_keys`, or set `skills.by_digest = true`, in "
                "config.toml; the daemon reads it when it starts: `ironclaw down`, `ironclaw up`.",
            )
        if any(one.name == POINT for one in agent.mounts):
            raise UserError(
                Code.CONFLICT,
                f"The agent sees a directory as {POINT}, where skills would be.",
                hint=f"Take it away first: `ironclaw agent unshare {agent.name} {POINT}`.",
            )
        known = _named(live, self.name)
        if known is not None and known.digest == self.digest:
            raise nothing_to_do("The agent has exactly that skill already.")
        if known is not None:
            # Taking back what this gives must give nothing, so nothing takes another's place.
            raise UserError(
                Code.CONFLICT,
                f"The agent has another skill named {self.name}.",
                hint=f"Take it away first: `ironclaw skill remove {agent.name} {self.name}`.",
            )
        if len(agent.skills) >= MAX_SKILLS:
            raise UserError(
                Code.CONFLICT,
                f"An agent has at most {MAX_SKILLS} skills.",
                hint="Take one away first.",
            )

    def before(self, live: Live) -> State:
        known, kept = _named(live, self.name), self._kept(live)
        if known is not None and kept is not None and known.digest == self.digest:
            return _all_of(kept, live.agent)
        return _short(known)

    def after(self, live: Live) -> State:
        kept = self._kept(live)
        if kept is None:
            skill = Skill(name=self.name, digest=self.digest, description="")
            return _short(skill)
        return _all_of(kept, live.agent)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"skill:{self.agent}:{self.digest}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        agent, kept = existing(live), self._kept(live)
        if kept is None:
            return ()
        skill = Skill(name=self.name, digest=self.digest, description=kept.folder.description)
        others = [one for one in agent.skills if one.name != self.name]
        skills = tuple(sorted((*others, skill), key=lambda one: one.name))
        return (PutAgent(msgspec.structs.replace(agent, skills=skills)),)

    def inverse(self, live: Live, change: ChangeId) -> RemoveSkill:
        return RemoveSkill(agent=self.agent, name=self.name)

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # Also of one that the house has dropped since: the agent has it again when it is imported.
        known = _named(live, self.name)
        return inverse if known is not None and known.digest == self.digest else None

    def _kept(self, live: Live) -> KeptSkill | None:
        return next(
            (
                one
                for one in live.house.skills
                if (one.digest, one.name) == (self.digest, self.name)
            ),
            None,
        )


class RemoveSkill(Spec, frozen=True, kw_only=True, tag="skill.remove"):
    """Take a skill from an agent."""

    topic: ClassVar = Topic.SKILLS
    title: ClassVar = "Take a skill from an agent"
    by_agents: ClassVar = True
    deciders: ClassVar = frozenset({Role.OWNER, Role.ADMIN})
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
    }

    agent: AgentId
    name: _Name

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        living(live)
        if _named(live, self.name) is None:
            raise not_there(f"The agent has no skill named {self.name}.")

    def before(self, live: Live) -> State:
        return _three(_named(live, self.name))

    def after(self, live: Live) -> State:
        return _three(None)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"skill.remove:{self.agent}:{self.name}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        agent = existing(live)
        others = tuple(one for one in agent.skills if one.name != self.name)
        return (PutAgent(msgspec.structs.replace(agent, skills=others)),)

    def inverse(self, live: Live, change: ChangeId) -> AddSkill | None:
        known = _named(live, self.name)
        if known is None:
            return None
        return AddSkill(agent=self.agent, name=self.name, digest=known.digest)


def _named(live: Live, name: str) -> Skill | None:
    known = () if live.agent is None else live.agent.skills
    return next((one for one in known if one.name == name), None)


def _three(known: Skill | None) -> State:
    if known is None:
        return dict.fromkeys(_NAMES[:3])
    return dict(zip(_NAMES[:3], (known.name, known.digest, known.description), strict=True))


def _short(known: Skill | None) -> State:
    """What the agent's own row says of a skill, as part of the whole."""
    return dict.fromkeys(_NAMES) | _three(known)


def _all_of(kept: KeptSkill, agent: Agent | None) -> State:
    """All there is to see of a skill, and what it would use beside what the agent holds."""
    folder = kept.folder
    held = () if agent is None else agent.tools
    who = kept.signer or "nobody"
    values: tuple[str | list[str], ...] = (
        folder.name,
        folder.digest,
        folder.description,
        who if kept.is_trusted else f"{who}, whom the settings do not trust",
        folder.license,
        [one for one in folder.asks if one in held],
        [one for one in folder.asks if one not in held],
        [f"{one.path}, {one.size} bytes" for one in folder.files],
        folder.text,
    )
    return dict(zip(_NAMES, values, strict=True))
