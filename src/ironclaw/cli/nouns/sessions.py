"""`ironclaw session`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns import transcript
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon, done, readable, when
from ironclaw.cli.nouns.meant import MeantArgument, OnlyArgument, session_meant
from ironclaw.cli.nouns.places import places
from ironclaw.cli.options import Despite, Json, Reason, Yes, settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.model import SessionState
from ironclaw.domain.taint import Taint, in_words

session_app = typer.Typer(
    help="Sessions: list, show, stop, forget, receipt, transcript, search.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@session_app.command("list")
def session_list(
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    as_json: Json = False,
) -> None:
    """List sessions, newest activity first."""
    with daemon() as client:
        query = f"agent={quote(agent, safe='')}" if agent else ""
        found = client.get("v1", "sessions", query=query)
        if as_json:
            render.data(found)
            return
        named = places(client)
    render.table(
        ("SESSION", "AGENT", "CHAT", "STATE", "BOX", "PENDING", "ACTIVE"),
        [
            (
                one["session"]["id"],
                one["agent_name"],
                named.of_session(one),
                one["session"]["state"],
                "frozen" if one["frozen"] else one["box"],
                one["pending"],
                when(one["session"]["active_ms"]),
            )
            for one in found["sessions"]
        ],
    )


@session_app.command("show")
def sessionshow(session: MeantArgument, *, as_json: Json = False) -> None:
    """Show a session and its box."""
    with daemon() as client:
        view = client.get("v1", "sessions", session_meant(client, session))
        if as_json:
            render.data(view)
            return
        chat = places(client).of_session(view)
    if view["session"]["chat"] is not None:
        chat += f" ({view['session']['chat']})"
    apart = {"session", "channel", "platform_id", "last_error", "taint"}
    rest = {name: value for name, value in view.items() if name not in apart}
    error = view["last_error"]
    words = f"{when(error['at_ms'])} {error['code']}: {error['text']}" if error else "none"
    foreign = in_words(map(Taint, view["taint"])) or "none"
    shown = readable(view["session"] | {"chat": chat} | rest)
    render.fields(shown | {"foreign content": foreign, "last error": words})


@session_app.command("stop")
def session_stop(session: OnlyArgument, *, as_json: Json = False) -> None:
    """Kill the session's box now; the next message starts a fresh one."""
    with daemon() as client:
        session = session_meant(client, session, only=True)
        client.call("POST", "v1", "sessions", session, "stop")
    done("stopped", session, as_json=as_json)


@session_app.command("forget")
def session_forget(
    session: OnlyArgument,
    *,
    keep_notes: Annotated[
        bool, typer.Option("--keep-notes", help="Leave what the agent noted in it in its memory.")
    ] = False,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that a conversation is forgotten for good: its key, its files and what was noted."""
    with daemon() as client:
        session = session_meant(client, session, only=True)
        agent = client.get("v1", "sessions", session)["session"]["agent"]
    spec = {"kind": "session.forget", "agent": agent, "session": session}
    spec |= {"keep_notes": True} if keep_notes else {}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


@session_app.command("receipt")
def session_receipt(
    session: MeantArgument,
    *,
    save: Annotated[
        Path | None, typer.Option("--save", help="Write the signed receipt to this file too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the signed proof of the session's newest launch, also while no daemon runs."""
    from ironclaw.cli import receipt  # noqa: PLC0415 - loads the cryptography

    try:
        with daemon() as client:
            told = client.get("v1", "sessions", session_meant(client, session), "receipt")
    except UserError as error:
        if error.code is not Code.NOT_RUNNING:
            raise
        told = receipt.of_stopped_house(settings(), session)
    signed_with = None if save is None else receipt.save(told, save)
    if as_json:
        render.data(told)
        return
    receipt.show(told)
    if save is not None and signed_with is not None:
        render.line()
        render.fields({"saved to": str(save), "signed with": signed_with})


@session_app.command("transcript")
def session_transcript(
    session: MeantArgument,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Newest events shown.")] = 100,
    as_json: Json = False,
) -> None:
    """Show what was said, with the files, what was asked, and what went to other places."""
    with daemon() as client:
        session = session_meant(client, session)
        said = client.get("v1", "sessions", session, "transcript", query=f"limit={limit}")
        state = client.get("v1", "sessions", session)["session"]["state"]
        if as_json:
            render.data(said)
            return
        known = places(client)
    if state == SessionState.FORGOTTEN:
        render.line("This conversation was forgotten: its key is destroyed, nothing can be read.")
        return
    transcript.show(said["events"], known)


@session_app.command("search")
def session_search(
    session: MeantArgument,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="What to look for.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How much is shown.")] = 10,
    before: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only what was said before (UTC)."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Search what was said, in this and in former conversations of the same place."""
    asked: dict[str, str | int] = {"q": " ".join(words), "limit": limit}
    if before is not None:
        asked["before_ms"] = int(before.replace(tzinfo=UTC).timestamp() * 1000)
    with daemon() as client:
        session = session_meant(client, session)
        found = client.get("v1", "sessions", session, "search", query=urlencode(asked))
    if as_json:
        render.data(found)
        return
    for one in found["found"]:
        former = "" if one["session"] == session else f" (in {one['session']})"
        render.edge(f"{when(one['at_ms'])} {one['sender']}{former}", tone="dim")
        render.inset(one["excerpt"])
    if not found["found"]:
        render.line("Nothing was found.")
    if not found["whole"]:
        render.line(f"There is more: look before {when(found['back_to_ms'])}, with --before.")
