"""The page of taint, made from its rules."""

from __future__ import annotations

import textwrap

from ironclaw.domain.taint import READS_FILES, RULES
from ironclaw_contract.clean_tools import CLEAN

_INTRO = """\
    An agent does what the text in front of it says. Some of that text is not from its people: a web
    page in a file, a stranger in a public chat, another agent. IronClaw does not judge texts. It
    keeps, by fixed rules, what foreign content a turn has before it, and a turn that has any loses
    what its agent could otherwise do without a person.

    """

_EFFECTS = """\
    ## What a tainted turn loses

    | what | clean | tainted |
    |---|---|---|
    {rows}

    To check: `./run pytest tests/unit/domain/test_taint.py tests/unit/store/test_taint.py
    tests/unit/services/host_tools/test_tainted.py tests/unit/ironclaw_agent/test_memory.py
    tests/sealed/test_taint.py`.

    An answer to the chat itself is not marked: its people see what they and the agent did there.
    Another agent that is written to has its words as `agent` in any case.

    ## Where it is shown

    The card of a change, the audit, `/status`, `ironclaw session show`, `GET
    /v1/sessions/{session}` (`taint`), and to the agent itself `my_rights` (`foreign`).

    ## How the host knows

    * `stranger`, `agent` and `file` are the host's own knowledge, kept with the message that it
      accepts, and with its session. They are there before the box has the message. A message that
      waits counts, too: it may join the turn.
    * `read`, `shared` and `memory` come from the turn itself: from each model call, which goes
      through the host before the model can act on it, and from each finished step. What a box says
      of its turn can only add a word. It names a turn with each request and each model call; the
      one that is under way, as the host knows it, counts whatever it names.
    * The box is told of a message whether foreign content is in its conversation; so its notes are
      marked. Where people look at a memory, notes of sessions that the host knows to be tainted are
      counted as tainted, whatever the note says of itself.
    * Nothing takes a word away from a session. `/new` begins another one.

    `services.taints.TaintDesk.taint_of(session, turn)` is what everything asks that is done on an
    agent's own word. Whatever else comes to be done so, a request to a network above all, asks it.

    ## What it does not do

    * What was read in a former turn of the conversation is still in the model's context, and does
      not taint a later turn that people began: else nearly every conversation would be tainted for
      good. Content that waits for a later turn to act is caught by what holds for every turn: the
      card, the approval, the grant. Begin anew with `/new` after reading what you do not trust.
    * A box that was taken over can leave out that it has read something, by keeping it from its
      model. It gains no more than the same request in a clean turn: what a rule of the policy
      approves by itself only takes away.
    * Words of people with a role are trusted as theirs, whatever they paste.
    """


_LOSES = (
    (
        "`request_change`",
        "a rule of the [policy](../reference/changes.md) may approve what only takes away",
        (
            "no rule approves it: a person decides. The card has a line of what there was, and "
            "that is part of what is approved (canonical form, hash, audit record "
            "`change.requested`)"
        ),
    ),
    (
        "`run_task`",
        "a task that people approved is told now",
        "refused: people have it told (`ironclaw task run`)",
    ),
    (
        "`send_message`, and `send_file` to a destination",
        "sent as it is",
        (
            "sent below a line of the host's own that says what there was; audit record "
            "`delivery.marked`"
        ),
    ),
    (
        "`memory_write`",
        "a note",
        "a note marked as tainted: no line of it stands among the instructions of a later turn",
    ),
)


def page() -> str:
    """All but the head of docs/security/taint.md."""
    rows = "\n".join(
        f"| `{word}` | {rule.says} | {rule.when} | "
        f"{'the conversation, until `/new`' if rule.stays else 'the turn'} |"
        for word, rule in RULES.items()
    )
    clean = ", ".join(f"`{tool}`" for tool in sorted(CLEAN))
    reading = ", ".join(f"`{tool}`" for tool in sorted(READS_FILES))
    return (
        textwrap.dedent(_INTRO)
        + "## The words\n\n| word | on a card | when | stays with |\n|---|---|---|---|\n"
        + f"{rows}\n\nClean tools, whose results are the host's or the box's own words, or those "
        + f"of the agent's people: {clean}. Every other result, also of a tool that nobody knows, "
        + f"is `read`. Tools that read files: {reading}.\n\n"
        + textwrap.dedent(_EFFECTS).replace(
            "{rows}", "\n".join(f"| {' | '.join(row)} |" for row in _LOSES)
        )
    )
