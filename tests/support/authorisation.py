"""The authorisation matrix: every endpoint, and who gets which kind of answer from it.

One row for each endpoint. The signs:

    +  done, or refused for another reason than who asks     -  403: seen, and not allowed
    .  404: it does not exist for them                       !  401: no valid token

The columns, in each of which a sign stands for a role or a scope:

    nobody   no token
    none     a token whose principal has no role
    own      member, viewer, operator, approver, admin of the agent that it is about
    foreign  the same roles, of another agent; ~ where it is about no agent
    all      member, viewer, operator, approver, admin, owner for all agents
    scopes   an owner's token with the one scope admin, operate, approve, chat, read
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope

OK, FORBIDDEN, NOT_FOUND, UNAUTHENTICATED = "+", "-", ".", "!"
ROLES: Final = (Role.MEMBER, Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)
SCOPES: Final = (Scope.ADMIN, Scope.OPERATE, Scope.APPROVE, Scope.CHAT, Scope.READ)

_TABLE: Final = """
                                               nobody none own   foreign all    scopes
POST /v1/agents/{agent}/chats/{name}/messages  !      .    +-+-+ .....   +-+-++ ++-+-
POST /v1/chat/completions                      !      -    +-+-+ .-.-.   +-+-++ ++-+-
POST /v1/responses                             !      -    +-+-+ .-.-.   +-+-++ ++-+-
GET /v1/models                                 !      -    +-+-+ ~       +-+-++ ++-+-
GET /v1/models/{agent}                         !      .    +-+-+ .....   +-+-++ ++-+-
GET /v1/chats/{chat}/events                    !      .    .++++ .....   .+++++ +++.+
GET /v1/files                                  !      -    -++++ -....   -+++++ +++-+
GET /v1/files/{file}                           !      .    .++++ .....   .+++++ +++.+
GET /v1/questions                              !      -    +-+-+ ~       +-+-++ ++-+-
POST /v1/questions/{question}/answer           !      .    .---- .....   .----- ---.-
GET /v1/agents                                 !      -    -++++ ~       -+++++ +++-+
GET /v1/agents/{agent}                         !      .    -++++ .....   -+++++ +++-+
GET /v1/agents/{agent}/memory                  !      .    -++++ .....   -+++++ +++-+
GET /v1/agents/{agent}/memory/{topic}          !      .    -++++ .....   -+++++ +++-+
PUT /v1/agents/{agent}/memory/{topic}          !      .    --+-+ .....   --+-++ ++---
DELETE /v1/agents/{agent}/memory/{topic}       !      .    --+-+ .....   --+-++ ++---
POST /v1/agents/{agent}/memory/purge           !      .    --+-+ .....   --+-++ ++---
GET /v1/usage                                  !      -    -++++ -....   -+++++ +++-+
GET /v1/skills                                 !      -    -++++ ~       -+++++ +++-+
GET /v1/skills/{skill}                         !      -    -++++ ~       -+++++ +++-+
GET /v1/templates                              !      -    -++++ ~       -+++++ +++-+
GET /v1/templates/{template}                   !      -    -++++ ~       -+++++ +++-+
GET /v1/wirings                                !      -    -++++ ~       -+++++ +++-+
GET /v1/tasks                                  !      -    -++++ -....   -+++++ +++-+
POST /v1/agents/{agent}/tasks/{name}/run       !      .    --+-+ .....   --+-++ ++---
GET /v1/me                                     !      +    +++++ ~       ++++++ +++++
GET /v1/standings                              !      -    -++++ ~       -+++++ +++-+
GET /v1/principals                             !      -    ----- ~       -+++++ +++-+
GET /v1/changes                                !      -    -++++ -....   -+++++ +++-+
POST /v1/changes                               !      -    --+-+ --.-.   --+-++ ++---
POST /v1/changes/preview                       !      -    --+-+ --.-.   --+-++ ++---
GET /v1/changes/events                         !      -    -++++ ~       -+++++ +++-+
GET /v1/changes/{change}                       !      -    -++++ -....   -+++++ +++-+
POST /v1/changes/{change}/decision             !      -    ---++ ---..   ---+++ +-+--
POST /v1/changes/{change}/withdraw             !      -    ---++ -....   ---+++ +-+--
POST /v1/changes/{change}/retry                !      -    --+-+ --.-.   --+-++ ++---
GET /v1/grants                                 !      -    -++++ -....   -+++++ +++-+
POST /v1/grants/{grant}/revoke                 !      -    ---++ ---..   ---+++ +-+--
GET /v1/policy                                 !      -    ----- ~       -+++++ +++-+
GET /v1/sessions                               !      -    -++++ -....   -+++++ +++-+
GET /v1/sessions/{session}                     !      .    -++++ .....   -+++++ +++-+
POST /v1/sessions/{session}/stop               !      .    --+-+ .....   --+-++ ++---
GET /v1/sessions/{session}/receipt             !      .    -++++ .....   -+++++ +++-+
GET /v1/sessions/{session}/transcript          !      .    -++++ .....   -+++++ +++-+
GET /v1/sessions/{session}/search              !      .    -++++ .....   -+++++ +++-+
GET /v1/audit                                  !      -    ----- ~       -+++++ +++-+
GET /v1/audit/{number}                         !      -    ----- ~       -+++++ +++-+
POST /v1/audit/checkpoint                      !      -    ----- ~       ----++ +----
POST /v1/audit/rotate                          !      -    ----- ~       ----++ +----
GET /v1/why                                    !      -    ----- ~       -+++++ +++-+
GET /v1/tokens                                 !      +    +++++ ~       ++++++ +++++
POST /v1/tokens                                !      -    ----- ~       ----++ +----
DELETE /v1/tokens/{token}                      !      .    ..... ~       ....++ +....
GET /v1/status                                 !      -    ----- ~       -+++++ +++-+
GET /v1/providers                              !      -    ----- ~       -+++++ +++-+
GET /metrics                                   !      -    ----- ~       -+++++ +++-+
GET /healthz                                   +      +    +++++ ~       ++++++ +++++
GET /readyz                                    +      +    +++++ ~       ++++++ +++++
GET /openapi.json                              +      +    +++++ ~       ++++++ +++++
"""
# Followed chats, stopped sessions, decided changes are somebody else's; tokens are minted for a new
# principal. What is one's own is tested beside the table.


class Caller(NamedTuple):
    """Somebody who calls, and about which agent it is."""

    name: str
    role: Role | None = None
    """None: no role."""
    is_global: bool = False
    is_foreign: bool = False
    """Whether what they ask for is of another agent than their role."""
    scope: Scope | None = Scope.ADMIN
    """Of their token; None: they have none."""


class Row(NamedTuple):
    """One endpoint: what each caller gets."""

    endpoint: str
    """`GET /v1/agents`"""
    expected: dict[Caller, str]


def _callers() -> dict[str, tuple[Caller, ...]]:
    """The callers of each column, in the order of its signs."""
    return {
        "nobody": (Caller("nobody", scope=None),),
        "none": (Caller("none"),),
        "own": tuple(Caller(f"own-{role}", role) for role in ROLES),
        "foreign": tuple(Caller(f"foreign-{role}", role, is_foreign=True) for role in ROLES),
        "all": tuple(Caller(f"all-{role}", role, is_global=True) for role in (*ROLES, Role.OWNER)),
        "scopes": tuple(
            Caller(f"scope-{scope}", Role.OWNER, is_global=True, scope=scope) for scope in SCOPES
        ),
    }


def _rows() -> dict[str, Row]:
    columns = _callers()
    found = {}
    for line in _TABLE.strip().splitlines()[1:]:
        method, path, *cells = line.split()
        expected: dict[Caller, str] = {}
        for callers, cell in zip(columns.values(), cells, strict=True):
            if cell != "~":
                expected |= dict(zip(callers, cell, strict=True))
        found[f"{method} {path}"] = Row(f"{method} {path}", expected)
    return found


MATRIX: Final = _rows()
"""By endpoint, `GET /v1/agents`."""


def outcome(status: int) -> str:
    """The sign of an answer's status."""
    return {401: UNAUTHENTICATED, 403: FORBIDDEN, 404: NOT_FOUND}.get(status, OK)
