"""A change in one line, for heads of cards and rows of lists: what it is about, and what it does.

summary(spec, agent, before) -> 'scribe: give the tools write_file'

It is short, so it names a few things and counts the rest; a card shows all of them below. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.domain.card_text import amount
from ironclaw.domain.changes import (
    access,
    agents,
    destinations,
    limits,
    model,
    mounts,
    persona,
    policies,
    sessions,
    skills,
    task_edits,
    tasks,
    tools,
    wiring,
)
from ironclaw.domain.characters import Findings
from ironclaw.domain.model import Role, UnknownSender
from ironclaw.domain.tools import TOOLS
from ironclaw.domain.visible import name, quoted

if TYPE_CHECKING:
    from ironclaw.core.ids import AgentId
    from ironclaw.domain.changes.base import Spec, State

_FEW: Final = 4
"""Things that are named before the rest is counted."""
_SHORT: Final = 60
"""Characters of one foreign text."""
_STRANGERS: Final = {
    UnknownSender.DROP: "turned away",
    UnknownSender.ASK: "asked about",
    UnknownSender.PUBLIC: "let in",
}
_ROLES: Final = {
    Role.OWNER: "an owner",
    Role.ADMIN: "an admin",
    Role.APPROVER: "an approver",
    Role.OPERATOR: "an operator",
    Role.VIEWER: "a viewer",
    Role.MEMBER: "a member",
}


def summary(spec: Spec, *, agent: str = "", before: State | None = None) -> str:
    """Say in one line what a change does.

    Args:
        spec: What shall be; its texts are foreign, and what misleads in them is an escape here.
        agent: Name of its agent; empty: not known, so its id is shown.
        before: The state that it changes, where that is known: what of a policy is another.
    """
    what = _of_house(spec, agent, before)
    if what or spec.agent_id is None:
        return what or spec.title
    return f"{_whose(agent, spec.agent_id)}: {_of_agent(spec) or spec.title}"


def _of_house(spec: Spec, agent: str, before: State | None) -> str:  # noqa: PLR0911 - a row each
    """What is no property of an agent that is there."""
    match spec:
        case access.GiveRole():
            who = _word(spec.principal)
            return f"Make {who} {_ROLES[spec.role]} of {_over(agent, spec.agent)}"
        case access.TakeRole():
            who, over = _word(spec.principal), _over(agent, spec.agent)
            return f"Make {who} no longer {_ROLES[spec.role]} of {over}"
        case access.SetStrangers():
            chat = _chat(spec.channel, spec.platform_id)
            return f"Unknown senders of {chat} are {_STRANGERS[spec.policy]}"
        case access.LinkPerson():
            return f"{_word(spec.principal)} is the same person as {_word(spec.same_as)}"
        case access.UnlinkPerson():
            return f"{_word(spec.principal)} is a person of its own"
        case agents.CreateAgent():
            given = f", with {_tools(spec.tools)}" if spec.tools else ""
            return f"Make the agent {_word(spec.name)}{given}"
        case agents.ArchiveAgent():
            return f"End the agent {_whose(agent, spec.agent)}"
        case agents.RestoreAgent():
            return f"Bring the agent {_whose(agent, spec.agent)} back"
        case policies.SetPolicy():
            return _policy(policies.state_of(spec.policy), before)
    return ""


def _of_agent(spec: Spec) -> str:  # noqa: C901, PLR0911, PLR0912 - a row each
    """What becomes another about an agent."""
    match spec:
        case persona.SetPersona():
            return "change who it is"
        case model.SetModel():
            return f"answer with the model {_word(spec.model)}"
        case tools.SetTools():
            parts = [f"give {_tools(spec.add)}"] if spec.add else []
            parts += [f"take away {_tools(spec.remove)}"] if spec.remove else []
            return "; ".join(parts)
        case wiring.AddWiring():
            return f"answer in {_chat(spec.channel, spec.platform_id)}"
        case wiring.RemoveWiring():
            return f"answer no longer in the chat of the wiring {_word(spec.wiring)}"
        case destinations.AddDestination(channel="agent"):
            return f"may write to the agent {_word(spec.platform_id)}, as {_word(spec.name)}"
        case destinations.AddDestination():
            return f"may send to {_chat(spec.channel, spec.platform_id)}, as {_word(spec.name)}"
        case destinations.RemoveDestination():
            return f"may no longer send to {_word(spec.name)}"
        case mounts.AddMount():
            return f"show the directory {_word(spec.path)} to it, as {_word(spec.name)}"
        case mounts.RemoveMount():
            return f"show the directory {_word(spec.name)} to it no longer"
        case skills.AddSkill():
            return f"use the skill {_word(spec.name)}"
        case skills.RemoveSkill():
            return f"use the skill {_word(spec.name)} no longer"
        case limits.SetLimits():
            return _few(_limits(spec))
        case tasks.AddTask():
            return f"do the task {_word(spec.name)} in {_chat(spec.channel, spec.platform_id)}"
        case tasks.RemoveTask():
            return f"do the task {_word(spec.name)} no longer"
        case task_edits.UpdateTask():
            return f"do the task {_word(spec.name)} otherwise"
        case task_edits.PauseTask():
            return f"do the task {_word(spec.name)} not for now"
        case task_edits.ResumeTask():
            return f"go on with the task {_word(spec.name)}"
        case sessions.ForgetSession():
            kept = ", but keep what was noted in it" if spec.keep_notes else ""
            return f"forget the conversation {_word(spec.session)} for good{kept}"
    return ""


def _limits(spec: limits.SetLimits) -> list[str]:
    values = {key: getattr(spec, key) for key in spec.labels if key not in {"agent", "unlimited"}}
    said = [
        f"{spec.labels[key]} {_amount(key, value)}"
        for key, value in values.items()
        if value is not None
    ]
    return said + [f"{spec.labels[key]} not limited by itself" for key in spec.unlimited]


def _amount(key: str, value: int) -> str:
    """A number in the unit that people think in, where it comes out even."""
    number, _, in_words = amount(key, value).partition(" (")
    return in_words.removesuffix(")") or number


def _policy(after: State, before: State | None) -> str:
    if before is None:
        return ""
    changed = [key for key, value in after.items() if before.get(key) != value]
    if changed == ["solo mode"]:
        return f"Solo mode {after['solo mode']}"
    return f"Policy: change {_few(changed)}" if changed else ""


def _over(agent: str, id_: AgentId | None) -> str:
    return "all agents" if id_ is None else f"the agent {_whose(agent, id_)}"


def _whose(agent: str, id_: AgentId) -> str:
    return _word(agent or id_)


def _tools(names: tuple[str, ...]) -> str:
    known = [one if one in TOOLS else _quoted(one) for one in names]
    return f"the tool{'' if len(names) == 1 else 's'} {_few(known)}"


def _chat(channel: str, platform_id: str) -> str:
    return f"the chat {_quoted(platform_id)} of {_word(channel)}"


def _few(said: list[str]) -> str:
    rest = len(said) - _FEW
    return ", ".join(said[:_FEW]) + (f" and {rest} more" if rest > 0 else "")


def _word(text: str) -> str:
    """A name; in quotes where it could pass for words of the host."""
    shown = name(text[:_SHORT], Findings())
    is_plain = shown == text and all(one.isalnum() or one in "_-:./@" for one in shown)
    return shown if is_plain else _quoted(text)


def _quoted(text: str) -> str:
    shown = quoted(text[:_SHORT], Findings())
    return shown if len(text) <= _SHORT else f"{shown}…"
