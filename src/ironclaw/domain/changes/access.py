"""Who may do what: roles, unknown senders, and which principals are one person."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.changes.base import Spec, Topic
from ironclaw.domain.model import Role, UnknownSender


class GiveRole(Spec, frozen=True, kw_only=True, tag="role.give"):
    """Give a person a role."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Give a person a role"
    labels: ClassVar = {
        "principal": "principal",
        "role": "role",
        "agent": "agent",
    }

    principal: PrincipalId
    role: Role
    agent: AgentId | None = None


class TakeRole(Spec, frozen=True, kw_only=True, tag="role.take"):
    """Take a role from a person."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Take a role from a person"
    labels: ClassVar = {
        "principal": "principal",
        "role": "role",
        "agent": "agent",
    }

    principal: PrincipalId
    role: Role
    agent: AgentId | None = None


class SetStrangers(Spec, frozen=True, kw_only=True, tag="strangers"):
    """Change what happens to unknown senders of a chat."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Change what happens to unknown senders of a chat"
    labels: ClassVar = {
        "channel": "channel",
        "platform_id": "chat",
        "policy": "unknown senders",
    }

    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    platform_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    policy: UnknownSender


class LinkPerson(Spec, frozen=True, kw_only=True, tag="person.link"):
    """Say that two principals are one person."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Say that two principals are one person"
    labels: ClassVar = {
        "principal": "principal",
        "same_as": "is the same person as",
    }

    principal: PrincipalId
    same_as: PrincipalId


class UnlinkPerson(Spec, frozen=True, kw_only=True, tag="person.unlink"):
    """Say that a principal is a person of its own."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Say that a principal is a person of its own"
    labels: ClassVar = {
        "principal": "principal",
    }

    principal: PrincipalId
