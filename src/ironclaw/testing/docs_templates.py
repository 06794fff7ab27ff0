"""The page of ready-made agents, made from their files."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from ironclaw.templates import templates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.templates import Template

_INTRO = """\
    A template is a draft of an agent: who it is, what it may use, what it would do at times, and
    what it works better with. It gives nothing by itself: each part becomes a
    [change](changes.md), with a card, decided as any other.

        $ ironclaw agent template list
        $ ironclaw agent template show watch
        $ ironclaw agent create night-watch --template watch --model PROVIDER/MODEL
        $ ironclaw agent template apply night-watch watch --with-tasks --zone Europe/Berlin

    `create --template` asks for the agent and, once it is there, for its limits; with
    `--with-tasks` for its tasks, too, in the caller's own `main` chat with it. `apply` asks for the
    same of an agent that is there. Afterwards the agent is yours: alter it as you like.

    ## Personas

    A persona is one text. Ready-made ones have three parts under headings, and yours may:
    `# Identity` (who it is, and for whom), `# Soul` (what it cares about, how it talks) and
    `# Instructions` (how it goes about its work). One part is altered alone, for example by
    `ironclaw agent persona AGENT --soul 'You are brief.'`; the card shows what differs.
    """


def page() -> str:
    """All but the head of docs/reference/templates.md."""
    return textwrap.dedent(_INTRO) + "".join("\n" + "\n".join(_one(it)) for it in templates())


def _one(it: Template) -> Iterator[str]:
    yield f"## {it.name}\n"
    yield f"{it.summary}\n"
    yield f"Tools: {', '.join(f'`{tool}`' for tool in it.tools)}.\n"
    limits = {name: getattr(it.limits, name) for name in it.limits.__struct_fields__}
    given = [f"`{name}` {value}" for name, value in limits.items() if value is not None]
    yield f"Limits: {', '.join(given)}.\n"
    for task in it.tasks:
        quiet = ", quiet" if task.quiet else ""
        yield f"Task `{task.name}` (`{task.cron}`{quiet}): {' '.join(task.prompt.split())}\n"
    for ask in it.asks:
        yield f"- Ask for: {ask}"
    yield ""
    yield f"```text\n{it.persona}\n```"
    yield ""
