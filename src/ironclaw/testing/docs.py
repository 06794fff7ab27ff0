"""Makes the generated pages from the code: `python -m ironclaw.testing.docs --write`.

Without `--write` it compares and says which pages differ; tests do the same. What a page says about
codes, settings, commands and endpoints can therefore not be wrong for longer than one commit.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ironclaw.api.app import ENDPOINTS
from ironclaw.cli.main import COMMANDS, load
from ironclaw.core.codes import CODES
from ironclaw.domain.model import Partition, Role
from ironclaw.domain.rights import RIGHTS, Right
from ironclaw.domain.tokens import LIMITS, Scope
from ironclaw.testing import docs_audit, docs_gateway, docs_settings, docs_taint, docs_templates
from ironclaw.testing.claims import claims

if TYPE_CHECKING:
    from ironclaw.api.endpoint import Endpoint

ROOT: Final = Path(__file__).resolve().parents[3]
DOCS: Final = ROOT / "docs"
_GENERATED: Final = (
    "<!-- Made by `python -m ironclaw.testing.docs --write`; do not edit by hand. -->\n\n"
)
NOT_IN_THE_PAGE: Final = frozenset({"image", "bench"})
"""Commands whose own pages describe them."""


def errors() -> str:
    """docs/reference/errors.md."""
    ranges = (
        "Exit codes: 0 is success, 1 a fault of IronClaw, 2 a wrong command line, 3 to 39\n"
        "something the caller can mend, 40 to 49 a rule that refused, 50 to 59 a box that lied or\n"
        "broke, 60 to 79 the machine or a service, 130 an interrupt.\n\n"
        "A request that waits for a decision is a success: it was recorded. A script that has to\n"
        "know whether it is in force reads `row.status` of what `--json` prints\n"
        "([changes.md](changes.md#for-scripts)).\n"
    )
    rows = [
        f"| `{code}` | {row.exit_code} | {row.http_status} | {row.meaning} |"
        for code, row in sorted(CODES.items(), key=lambda item: item[1].exit_code)
    ]
    return (
        f"# Errors\n\n{_GENERATED}"
        "One table for the API (`code` in problem+json), the command line (exit code), metrics\n"
        f"(label `code`) and logs.\n\n{ranges}\n"
        "| code | exit | HTTP | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def configuration() -> str:
    """docs/reference/configuration.md."""
    return f"# Configuration\n\n{_GENERATED}{docs_settings.page()}"


def cli() -> str:
    """docs/reference/cli.md."""
    intro = (
        f"# Command line\n\n{_GENERATED}"
        "Every command takes `--json`: one JSON object on stdout, errors included. Exit codes\n"
        "are in [errors.md](errors.md); 0 says that a change was asked for, not that it is in\n"
        "force ([changes.md](changes.md#for-scripts)). `ironclaw --config FILE COMMAND` chooses\n"
        "the configuration.\n"
    )
    parts = [intro]
    parts.extend(f"\n- `{name}`: {row.help}" for name, row in COMMANDS.items())
    parts.append("\n")
    for name in COMMANDS:
        if name not in NOT_IN_THE_PAGE:
            parts += _command(load(name), f"ironclaw {name}", level=2)
    return "".join(parts)


def _command(command: Any, path: str, *, level: int) -> list[str]:
    parts = [f"\n{'#' * level} {path}\n\n{inspect.cleandoc(command.help or '')}\n"]
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            parts += _command(inner, f"{path} {name}", level=level + 1)
        return parts
    rows = []
    for parameter in command.params:
        text = getattr(parameter, "help", None) or ""
        if parameter.param_type_name == "argument":
            shown = f"`{parameter.name.upper()}`" + ("" if parameter.required else " (optional)")
        else:
            shown = ", ".join(f"`{name}`" for name in parameter.opts)
        rows.append(f"| {shown} | {text} |")
    if rows:
        parts.append("\n| | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return parts


def http_api() -> str:
    """docs/reference/http-api.md."""
    intro = """\
        The daemon serves HTTP/1.1 on `127.0.0.1:8787` and on the unix socket `api.sock` of its
        runtime directory. `/openapi.json` has every schema. Send `Authorization: Bearer icl_…`; the
        first token, an owner's with scope `admin`, is in the file `api-token` of the state
        directory. As root:

        ```sh
        curl -H "Authorization: Bearer $(cat /var/lib/ironclaw/api-token)" \\
          --json '{"text": "Good morning"}' \\
          'http://127.0.0.1:8787/v1/agents/demo/chats/main/messages?wait=60'
        ```

        - Who speaks and decides is the token's principal, `api:<name>`. Nothing in a request can
          say otherwise. The name of a token is never given to a second one.
        - Errors are `application/problem+json` with `code` ([errors.md](errors.md)), `detail`,
          `hint` (the next step) and `request_id`, which the log has too.
        - A body over `api.max_body_bytes` is refused with 413 before it is read.
        - `Idempotency-Key` (or `external_id`): the same message sent twice is taken once.
        - `?wait=SECONDS` on a message stays for the first reply. 200: it is there; 202: it is not
          yet, ask the chat's events.
        - Clients that speak OpenAI's API talk to agents too, in that API's shapes, errors included:
          [front-door.md](front-door.md).
        - Everything about an agent is altered by a change: `POST /v1/changes` asks, its `card` is
          shown to somebody else, `POST …/decision` with the card's `hash` and `state`, and its
          `version` as `card`, approves exactly that or denies it.
        - Events of a chat are server-sent events of the kinds `message`, `said`, `reply`,
          `question`, `error`, and what is live only, without an id: `progress`, `doing`, `thinking`
          ([conversation.md](conversation.md)); those of changes are `requested`, `decided`,
          `applied`, `done`, `failed`, `denied`, `expired`, `escalated`, `withdrawn`,
          `overtaken`, `revoked`, each with the change, its card, its buttons and its link. Resume
          with `Last-Event-ID`. Without it a stream begins with what happens next, with `?after=0`
          at the beginning. A stream ends after an hour, and with the next event when the token or
          the right is gone.
        - The `Host` header must name this machine or be in `api.allowed_hosts`; pages of other
          sites (`Origin`) are refused.
        """
    scopes = "\n".join(
        f"| `{scope}` | {_listed(LIMITS[scope])} | {_by_members(Scope)[scope]} |" for scope in Scope
    )
    roles = "\n".join(f"| `{role}` | {_listed(RIGHTS[role])} |" for role in Role)
    rows = "\n".join(
        f"| {row.method} | `{row.path}` | {_need(row)} | {row.summary}"
        + "".join(f". `?{one.name}=`: {one.meaning.rstrip('.')}" for one in row.query)
        + " |"
        for row in ENDPOINTS
    )
    return (
        f"# HTTP API\n\n{_GENERATED}{textwrap.dedent(intro)}\n"
        f"## Rights\n\n{textwrap.dedent(_RIGHTS)}\n"
        f"| role | rights |\n|---|---|\n{roles}\n\n"
        f"| token with | lets through of these | |\n|---|---|---|\n{scopes}\n\n"
        f"## Endpoints\n\n"
        f"| method | path | right, over what | what |\n|---|---|---|---|\n{rows}\n"
    )


_RIGHTS: Final = """\
    What a request may do is what the roles of its principal give, less what its token does not
    let through. A role is held for all agents or for one. An endpoint asks for a right over

    - *house*: everything; a role for one agent does not count;
    - *agent*, *session*: the agent that the path names, or whose session it names;
    - *chat*: one's own chat, with the right to talk to its agent; any chat of an agent that one may
      read; a chat of another channel with the right to read the house;
    - *any*: one agent at least; lists show what is of agents that one may read;
    - *change*: the same, and the gateway decides over the one change or grant;
    - *own*: nothing but a valid token: the answer is about the caller.

    An agent with which somebody has neither `read` nor `talk`, and all that is of it, does not
    exist for them: 404, in the same words as for what is not there. Who may see it and may not do
    what they ask gets 403, with the role or the scope that is missing. Who may only talk reads no
    lists: `/v1/me` names their agents.

    Who may administer the house mints a token for a new principal (`api:<name>`), which has no
    role until a change gives it one. Anybody mints further tokens of their own (`principal`), which
    let through no more and live no longer than the one in use. Nobody mints for a principal that is
    somebody else.

    ### A lost token

    Who has lost their token, or let it expire, comes back as a new principal: whoever could make a
    token for somebody else's principal could speak and decide in their name. Somebody who may
    administer the house

    1. ends the old token, if it is still one: `ironclaw token revoke ann`;
    2. mints one with a new name: `ironclaw token mint ann-2 --scope approve`;
    3. asks for a link, so that both count as one person:
       `ironclaw principal link api:ann-2 api:ann`;
    4. asks for the roles again, and for the old ones to be taken:
       `ironclaw role give api:ann-2 approver --agent demo`,
       `ironclaw role take api:ann approver --agent demo`.

    The last two are changes, decided by whoever decides on roles. Conversations stay with the old
    principal: the new one begins its own. Who still has their token mints a second one for
    themselves in time. The first token needs none of this: when its file is not there, or no longer
    valid, the daemon writes a new one of `api:cli` at its next start.
    """


def _need(row: Endpoint) -> str:
    if row.about is None:
        return "open"
    return row.about if row.right is None else f"`{row.right}`, {row.about}"


def _listed(rights: frozenset[Right]) -> str:
    return ", ".join(f"`{right}`" for right in Right if right in rights)


def _by_members(enumeration: type[Scope]) -> dict[Scope, str]:
    """The text under each member of an enumeration."""
    found = re.findall(
        r'^    (\w+) = [^\n]*\n    """(.*?)"""',
        inspect.getsource(enumeration),
        re.MULTILINE | re.DOTALL,
    )
    return {enumeration[name]: " ".join(text.split()) for name, text in found}


def glossary() -> str:
    """docs/reference/glossary.md."""
    rows = "\n".join(f"| **{word}** | {meaning} |" for word, meaning in WORDS)
    return (
        "# Glossary\n\n"
        f"{_GENERATED}One word for one idea, in code, messages and pages.\n\n"
        f"| word | means |\n|---|---|\n{rows}\n"
    )


WORDS: Final = (
    ("agent", "A configured assistant: persona, model, tools, limits."),
    ("airlock", "A confined host process, one for each box; alone in touching what a box wrote."),
    ("audit", "The record of what must not be forgotten: a chain that grows and never changes."),
    ("bell", "The socket on which box and airlock say `look`; nothing polls."),
    ("box", "One gVisor sandbox that runs `/sandbox` for exactly one session."),
    ("card", "How a change is shown to whoever decides: from all of its fields, nothing else."),
    ("change", "A request to alter what an agent is or may do, and what becomes of it."),
    ("channel", "A chat platform, as IronClaw reaches it; the HTTP API is one (`api`)."),
    ("chat", "One conversation place on one channel."),
    ("check", "One attack of the proof, and the outcomes that mean that it was stopped."),
    ("checkpoint", "A signed statement of what the head of the audit's chain was, and when."),
    ("claim", "Binding a blank slot to a session: its key and files appear in the slot."),
    ("control", "What stops an attack: a flag, a field, a mount option, a limit, a rule."),
    ("core", "The trusted daemon: store, keys, router, sessions, models, delivery, API."),
    ("delivery", "One thing to say to one chat; retried, never said twice, or a dead letter."),
    ("digest", "`sha256:…` of an image's manifest: what a box is made of."),
    ("disk guard", "What counts the disk that boxes use, and ends one that goes over its cap."),
    ("epoch", "One life of a session's box; each has record chains of its own."),
    ("gateway", "The one way in which anything about an agent changes."),
    ("grant", "What an applied change gave; may end by itself, can be revoked."),
    ("house", "All that one state directory holds and one daemon runs."),
    ("keeper", "The process that owns the nest, starts the core and restarts it."),
    ("ledger", "The durable record of every message, sealed for each session."),
    ("nest", "The namespaces in which a house's mounts and, for ordinary users, ids live."),
    ("partition", f"Which messages share a session: {', '.join(f'`{one}`' for one in Partition)}."),
    ("person", "Who a principal is; several principals can be one person, who counts once."),
    ("policy", "What the gateway holds for whom, what decides by itself, how long things wait."),
    ("posture", "What is measured of a launched box, from inside and outside."),
    ("principal", "Who speaks: `<channel>:<handle>`, for the API `api:<token name>`."),
    ("proof", "All checks carried out on real boxes: `ironclaw prove`."),
    ("question", "Something an agent asks its people; its turn stands still until they answer."),
    ("receipt", "The signed proof of one launch: what was asked for and what was measured."),
    ("right", "One thing that somebody may do, with one agent or with all."),
    ("role", "What a principal is to agents: owner, admin, approver, operator, viewer, member."),
    ("rootfs", "An image, verified and unpacked once, read-only, shared by every box."),
    ("scope", "What a token lets through of the rights of its principal."),
    ("segment", "One sealed, immutable queue file."),
    ("session", "One conversation of one agent, with a key, a box and a workspace of its own."),
    ("skill", "A folder of instructions and data that people give an agent; it runs nothing."),
    ("slot", "A launched blank box with its airlock, not yet bound to a session."),
    ("spec", "The part of a change that says what shall be; each kind has one of its own."),
    ("standing", "One role that a principal holds, for all agents or for one."),
    (
        "summary",
        (
            "What a model is told of the oldest turns of a "
            "[long conversation](long-conversations.md), in place of them."
        ),
    ),
    (
        "taint",
        (
            "What [foreign content](../security/taint.md) a turn has before it, by fixed rules; "
            "such a turn loses what it could do without a person."
        ),
    ),
    ("task", "Something an agent is told to do at a time, for people of one of its chats."),
    ("transcript", "What was said and done in a session."),
    ("turn", "One run of the agent's loop over one or more messages."),
    ("twin", "A weakened copy that goes without a control; there its check must fail."),
    ("wiring", "Which chat reaches which agent, and when it engages."),
)


def audit() -> str:
    """docs/reference/audit.md."""
    return f"# The audit\n\n{_GENERATED}{docs_audit.audit()}"


def changes() -> str:
    """docs/reference/changes.md."""
    return f"# Changes\n\n{_GENERATED}{docs_gateway.changes()}"


def ready_made_agents() -> str:
    """docs/reference/templates.md."""
    return f"# Ready-made agents\n\n{_GENERATED}{docs_templates.page()}"


def taint() -> str:
    """docs/security/taint.md."""
    return f"# Taint\n\n{_GENERATED}{docs_taint.page()}"


def security_claims() -> str:
    """docs/security/claims.md."""
    return f"# Claims\n\n{_GENERATED}{claims()}"


PAGES: Final = {
    "reference/errors.md": errors,
    "reference/configuration.md": configuration,
    "reference/cli.md": cli,
    "reference/http-api.md": http_api,
    "reference/glossary.md": glossary,
    "reference/audit.md": audit,
    "reference/changes.md": changes,
    "reference/templates.md": ready_made_agents,
    "security/claims.md": security_claims,
    "security/taint.md": taint,
}


def differing() -> list[str]:
    """Names of pages that are not what the code says."""
    found = []
    for name, make in PAGES.items():
        path = DOCS / name
        if not path.is_file() or path.read_text(encoding="utf-8") != make():
            found.append(name)
    return found


def main() -> int:
    """Write or compare. Returns the exit status."""
    if "--write" in sys.argv[1:]:
        for name, make in PAGES.items():
            (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
            (DOCS / name).write_text(make(), encoding="utf-8")
        return 0
    wrong = differing()
    if wrong:
        os.write(2, f"these pages differ from the code: {', '.join(wrong)}\n".encode())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
