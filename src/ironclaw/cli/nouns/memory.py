"""`ironclaw memory`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.editor import edited
from ironclaw.cli.nouns.daemon import daemon, done, when
from ironclaw.cli.nouns.meant import OnlyArgument, session_meant
from ironclaw.cli.options import AgentArgument, Json
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

memory_app = typer.Typer(
    help="Memory: what agents have noted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
TopicArgument = Annotated[str, typer.Argument(metavar="TOPIC", help="Name of the topic.")]
Was = Annotated[
    str,
    typer.Option("--was", metavar="DIGEST", help="Only if it is still this, as `show` said."),
]
_MOST_CHARS: Final = 128 * 1024
_TAINTED: Final = (
    "One may say tainted=no all the same: the house knows of foreign content in its conversation."
)
_CUT: Final = "This is not all: there is more, or something that could not be looked through."


@memory_app.command("list")
def memory_list(agent: AgentArgument, *, as_json: Json = False) -> None:
    """List the topics of an agent's memory.

    Tainted notes were written after the agent had read what is not from its people; notes of a
    conversation that the house knows to have foreign content count too, whatever they say.
    """
    with daemon() as client:
        found = client.get("v1", "agents", agent, "memory")
    if as_json:
        render.data(found)
        return
    render.table(
        ("TOPIC", "BYTES", "NOTES", "TAINTED NOTES", "CHANGED"),
        [
            (
                one["topic"],
                one["bytes"],
                one["notes"],
                one["tainted"],
                when(one["changed_ms"]),
            )
            for one in found["topics"]
        ],
    )
    _say_if_cut(found)


@memory_app.command("show")
def memory_show(agent: AgentArgument, topic: TopicArgument, *, as_json: Json = False) -> None:
    """Show a topic.

    The line above each note says of what session it is, and whether its box called it tainted. The
    number of tainted notes is the house's: it counts what `ironclaw memory list` counts.
    """
    with daemon() as client:
        found = client.get("v1", "agents", agent, "memory", topic)
    if as_json:
        render.data(found)
        return
    render.block(found["text"].rstrip("\n"))
    render.note(f"digest: {found['digest']}")
    render.note(f"tainted notes: {found['tainted']} of {found['notes']}")
    if found["tainted"]:
        render.note(_TAINTED)
    _say_if_cut(found)


@memory_app.command("edit")
def memory_edit(
    agent: AgentArgument,
    topic: TopicArgument,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="What it shall be; @FILE for a file, - for the input. Without it a terminal "
            "opens $VISUAL or $EDITOR on what is there.",
        ),
    ] = None,
    *,
    was: Was = "",
    as_json: Json = False,
) -> None:
    """Replace a topic, or make it."""
    if text is not None:
        _put(agent, topic, _text(text), was=was)
        done("edited", topic, as_json=as_json)
        return
    if as_json or not render.is_seen():
        raise UserError(
            Code.INVALID,
            "TEXT is missing, and nobody is at a terminal to write it.",
            hint="Give TEXT, @FILE for a file, or - for the input; `ironclaw memory show` shows"
            " what is there.",
        )
    found = _present(agent, topic)
    with edited(found["text"]) as said:
        if said is None:
            render.note(f"Nothing was saved: {topic} is as it was.")
            return
        _put(agent, topic, _checked(said), was=was or found["digest"])
    done("edited", topic, as_json=False)


@memory_app.command("forget")
def memory_forget(
    agent: AgentArgument, topic: TopicArgument, *, was: Was = "", as_json: Json = False
) -> None:
    """Take a topic away."""
    query = urlencode({"was": was}) if was else ""
    with daemon() as client:
        client.call("DELETE", "v1", "agents", agent, "memory", topic, query=query)
    done("forgot", topic, as_json=as_json)


@memory_app.command("purge")
def memory_purge(agent: AgentArgument, session: OnlyArgument, *, as_json: Json = False) -> None:
    """Take away every note that came from a session."""
    with daemon() as client:
        meant = session_meant(client, session, only=True)
        said = client.call(
            "POST", "v1", "agents", agent, "memory", "purge", body={"session": meant}
        )
    if as_json:
        render.data(said)
        return
    render.line(f"purged {said['notes']} notes of {meant}")
    _say_if_cut(said)


def _say_if_cut(said: dict[str, object]) -> None:
    if not said["whole"]:
        render.note(_CUT, tone="bad")


def _put(agent: str, topic: str, text: str, *, was: str) -> None:
    body = {"text": text} | ({"was": was} if was else {})
    with daemon() as client:
        client.call("PUT", "v1", "agents", agent, "memory", topic, body=body)


def _present(agent: str, topic: str) -> dict[str, Any]:
    """What a topic is now; empty when it is not there. Raises UserError."""
    with daemon() as client:
        try:
            found: dict[str, Any] = client.get("v1", "agents", agent, "memory", topic)
        except UserError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            # Raises where it is the agent that is not there.
            client.get("v1", "agents", agent, "memory")
            return {"text": "", "digest": ""}
    if not found["whole"]:
        raise UserError(
            Code.INVALID,
            "Not all of it can be shown, and the rest would be lost.",
            hint="Give the whole new text as TEXT or @FILE.",
        )
    return found


def _text(argument: str) -> str:
    """The text that an argument names. Raises UserError (`INVALID`)."""
    text = argument
    try:
        if argument == "-":
            text = sys.stdin.read(_MOST_CHARS + 1)
        elif argument.startswith("@"):
            with Path(argument[1:]).open(encoding="utf-8") as file:
                text = file.read(_MOST_CHARS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            Code.INVALID, f"{argument[1:] or 'The input'} cannot be read.", hint="Give UTF-8 text."
        ) from error
    return _checked(text)


def _checked(text: str) -> str:
    """The text, if it can be a topic. Raises UserError (`INVALID`)."""
    if not text or len(text) > _MOST_CHARS:
        raise UserError(
            Code.INVALID,
            f"A topic has 1 to {_MOST_CHARS} characters.",
            hint="`ironclaw memory forget` takes one away.",
        )
    return text
