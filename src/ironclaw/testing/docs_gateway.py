"""The generated page about changes: every kind, who may ask and decide, rights, policy."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Final

from ironclaw.domain.change import Status
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.model import Role
from ironclaw.domain.policy import Policy
from ironclaw.domain.rights import RIGHTS, Right
from ironclaw.domain.tokens import LIMITS, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_FLOW: Final = """\
    Nothing about an agent, or about who may do what, changes unless a person who may decide has
    seen exactly that and said yes. Agents ask with the tool `request_change`, people with
    `ironclaw` or the HTTP API; there is one gate, and no way around it for anybody.

        asked -> (policy: refused, or applied at once) -> pending -> approved -> applied -> done
                     pending -> denied | expired | withdrawn        approved -> failed -> (retry)
                     pending, approved, failed -> overtaken

    - **What is approved is what was seen.** A card is made of every field of the change and of
      what would be otherwise afterwards. A decision names the hash of the change, the version of
      the live state and the version of the card's form; if one of them is not the present one, it
      is refused and the card is shown again. A field that has no place on a card cannot be asked
      for.
    - **Foreign words are shown as such.** The reason is the asker's own and stands behind a gutter.
      Characters that cannot be seen, that turn the direction of text or that look like others are
      written as escapes and named.
    - **Nobody decides on their own request**, unless an owner has turned on solo mode (`ironclaw
      policy set solo on`); cards say so. Principals that were linked are one person. The one
      exception: the only owner of a house may decide on a change of the policy.
    - **Denied is remembered.** The same wish in another request is refused with a pointer to the
      denial; a person may name it in `despite` (`ironclaw change submit JSON --despite ID`), and
      the card says so.
    - **Strangers knock.** In a chat whose unknown senders are `ask`ed about, a message of one
      reaches no agent; it becomes a request to make them a member of that agent. What they wrote
      is not shown. A no is remembered, and a flood is a few requests.
    - **A grant** is what an applied change gave. It may end by itself (`--for 8h`) and can be
      revoked by whoever may decide: in force also in running boxes when the command returns. A
      destination that is another agent can be revoked by who decides for that one as well.
    - **Nothing hangs.** What waits survives restarts, is told once more after `escalate_s` (the
      event `escalated`, which `ironclaw change watch` shows), expires after `pending_s`, and can be
      withdrawn. A crash at any point is finished at the next start; what could not be applied says
      so to both sides and can be tried again.
    - **What events have overtaken ends by itself**: a request that has come true by other means, or
      about a task that is gone. It ends as `overtaken` when what overtook it is applied, or else
      when it is listed, shown, approved, denied or tried again; the agent is told why, the audit
      has `change.overtaken`, and `ironclaw approve` says so and ends with 0. Nothing is applied by
      it, and nobody has to decide on it. What might still do something goes on waiting: what has
      come true in part, or for less long than is asked, or is about an agent that has ended and can
      be brought back. What is so for less long can be denied then, and approved when that is over.
    - **What could not be applied as things are is not approved.** A request about an agent that
      has ended, for example: list and card say why, a yes is refused with the reason and what
      would help (`conflict`), and it goes on waiting. It can be denied.
    - **Running boxes follow.** Persona, tools and destinations are told to the running box, the
      socket of host tools appears and goes; limits and shared directories need a fresh box, in
      which the conversation goes on where it was.
    """

_FOR_SCRIPTS: Final = """\
    A command that asks for a change ends with 0 as soon as the request is recorded, also when it
    waits for a decision then. What is so already is no error either: the command says so, asks
    nobody and ends with 0 (with `--json`: `{"unchanged": true, "message": …}`); the API answers
    `conflict`. What is refused ends with another code ([errors.md](errors.md)), and so does asking
    for longer for what is so for a time (`conflict`: it will end), and taking away what is not
    there (`not_found`): its name may be misspelt. With
    `--json` the change is printed as it is at the end of the command, and `row.status` is one of
    the states above: `done` is in force, `pending` waits; one that was approved and could not be
    applied is `failed`, and the exit code is that of the reason. So a script that needs to know
    asks for that, and not for the exit code:

    ```console
    $ ironclaw agent create helper --json | jq -r .row.status
    pending
    ```

    `row.change.id` is the id of the request; `ironclaw change show ID --json` has its status later,
    and `ironclaw change watch --json` prints an object for each thing that happens to any.
    """

_RULES: Final = """\
    Rules are lists in JSON, and name the topic of a kind (first table). With these, what only takes
    tools away is applied at once, nobody asks for tasks of one agent, and shared directories need
    two owners:

    ```console
    $ ironclaw policy set automatic '[{"topic": "tools", "verdict": "allow", "bearing": "narrows"}]'
    $ ironclaw policy set automatic '[{"topic": "tasks", "verdict": "deny", "agent": "agt_…"}]'
    $ ironclaw policy set approvers '[{"topic": "mounts", "roles": ["owner"], "people": 2}]'
    ```

    - `automatic`: `verdict` is `allow`, `ask` or `deny`; `bearing` is `widens`, `alters` or
      `narrows`, left out for all; `agent` is the id of an agent, left out for all. Only what
      narrows can be allowed, and only for good; and not what an agent asks for with
      [foreign content](../security/taint.md) before it.
    - `approvers`: `roles` who may decide, of those that the kind has anyway; `people` is 1 or 2.
    """


def changes() -> str:
    """docs/reference/changes.md, below its title."""
    return (
        f"{textwrap.dedent(_FLOW)}\n## Kinds\n\n{_kinds()}\n\n"
        "Fields and their types are in `/openapi.json`; `ironclaw change diff JSON` shows the\n"
        f"card of a change without asking for it.\n\n## Roles\n\n{_roles()}\n\n"
        "A role is held for all agents or for one. A token lets through what its scopes name, and\n"
        f"adds nothing:\n\n{_scopes()}\n\n## States\n\n{_states()}\n\n"
        f"## For scripts\n\n{textwrap.dedent(_FOR_SCRIPTS)}\n## The policy\n\n"
        f"`ironclaw policy show` and `ironclaw policy set NAME VALUE`; itself a change, on which\n"
        f"owners decide.\n\n{_policy()}\n\n{textwrap.dedent(_RULES)}"
    )


def _kinds() -> str:
    rows = [
        (
            f"`{name}`",
            f"`{spec.topic}`",
            spec.title,
            ", ".join(f"`{field}`" for field in spec.__struct_fields__),
            "yes" if spec.by_agents else "no",
            _either(spec.deciders),
        )
        for name, spec in SPECS.items()
    ]
    return _table(("kind", "topic", "what", "fields", "agents may ask", "who decides"), rows)


def _roles() -> str:
    rows = [
        (f"`{role}`", *("yes" if right in RIGHTS[role] else "" for right in Right)) for role in Role
    ]
    return _table(("role", *Right), rows)


def _scopes() -> str:
    rows = [(f"`{scope}`", _in_order(LIMITS[scope])) for scope in Scope]
    return _table(("scope", "lets through"), rows)


def _states() -> str:
    docs = _docs_of(Status)
    rows = [(f"`{status}`", docs.get(status.name, "")) for status in Status]
    return _table(("state", "means"), rows)


def _policy() -> str:
    docs = _docs_of(Policy)
    rows = [
        (f"`{name}`", docs.get(name, ""), f"`{_shown(getattr(Policy(), name))}`")
        for name in Policy.__struct_fields__
    ]
    return _table(("setting", "what", "at first"), rows)


def _docs_of(owner: type) -> Mapping[str, str]:
    """The texts under the fields or members of a class."""
    source = inspect.getsource(owner)
    found = re.findall(
        r'^    (\w+)(?::| =)[^"]*?\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL
    )
    short = re.findall(r'^    (\w+) = "[^"]*"\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in [*found, *short]}


def _in_order(rights: Iterable[Right]) -> str:
    held = set(rights)
    return ", ".join(right for right in Right if right in held)


def _either(roles: Iterable[Role]) -> str:
    held = set(roles)
    return ", ".join(role for role in Role if role in held)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value == () else str(value)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
