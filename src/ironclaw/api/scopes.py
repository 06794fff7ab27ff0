"""What a token may do. Which endpoint asks for what is in the endpoint table, nowhere else."""

from __future__ import annotations

import enum
from typing import Final


class Scope(enum.StrEnum):
    """One right of a token."""

    ADMIN = "admin"
    """Everything: tokens and roles too."""
    OPERATE = "operate"
    """Make and change agents and wirings, stop sessions; talk and read."""
    CHAT = "chat"
    """Send messages and follow chats."""
    READ = "read"
    """Look at everything, change nothing."""


IMPLIES: Final[dict[Scope, frozenset[Scope]]] = {
    Scope.ADMIN: frozenset(Scope),
    Scope.OPERATE: frozenset({Scope.OPERATE, Scope.CHAT, Scope.READ}),
    Scope.CHAT: frozenset({Scope.CHAT}),
    Scope.READ: frozenset({Scope.READ}),
}
"""A token with the key has the rights in the value."""


def allows(held: frozenset[Scope], wanted: frozenset[Scope]) -> bool:
    """Whether a token with `held` may use an endpoint that asks for any of `wanted`."""
    return any(not wanted.isdisjoint(IMPLIES[scope]) for scope in held)
