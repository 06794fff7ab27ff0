"""`ironclaw chat`: one message, or a conversation."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ironclaw.cli import render, talk
from ironclaw.cli.client import Client
from ironclaw.cli.company import Patience, stopping
from ironclaw.cli.following import Following
from ironclaw.cli.nouns.files import to_send
from ironclaw.cli.options import AgentArgument, Json, settings
from ironclaw.cli.player import Player
from ironclaw.cli.prompt import prompt
from ironclaw.cli.typing_along import Typing
from ironclaw.core.clock import SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, PeerError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ironclaw.cli.talk import Spoken

PROMPT = "you> "
STOP = "/stop"
LEAVE = frozenset({"/quit", "/exit", "/q"})
_REFUSED = frozenset({Code.INVALID, Code.TOO_LARGE, Code.RATE_LIMITED})
"""Of one message: the next one may be taken."""


def chat(
    agent: AgentArgument,
    text: Annotated[
        str | None,
        typer.Argument(
            help="What to say; left out: a conversation, line by line. Each line of a pipe is a "
            "message of its own: give a long one as one argument."
        ),
    ] = None,
    *,
    name: Annotated[str, typer.Option("--chat", help="Which chat with the agent.")] = "main",
    thread: Annotated[str | None, typer.Option(help="A thread in that chat.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(help="A file to send with it; repeat it for more. At most 8 of 16 MiB each."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Talk to an agent."""
    text = "" if text is None and file else text
    if text is not None and not text.strip() and not file:
        raise UserError(
            Code.INVALID,
            "The message is empty.",
            hint='Say something: `ironclaw chat AGENT "text"`, or leave the text out to converse.',
        )
    mine = settings()
    client = Client(mine)
    try:
        if text is not None:
            files = to_send(file or [])
            once(client, agent, name, text, thread=thread, as_json=as_json, files=files)
        elif as_json:
            raise UserError(
                Code.INVALID,
                "A conversation has no JSON form.",
                hint='Say something: `ironclaw chat AGENT "text" --json`.',
            )
        else:
            following = Following(
                Client(mine), thread=thread, prompt=prompt(PROMPT), since_ms=SystemClock().now_ms()
            )
            converse(client, Client(mine), following, agent, name, thread=thread)
    finally:
        client.close()


def once(
    client: Client,
    agent: str,
    name: str,
    text: str,
    *,
    thread: str | None,
    as_json: bool,
    files: Sequence[dict[str, Any]] = (),
) -> None:
    """Send one message and show its reply.

    Raises:
        PeerError: The turn failed; the message is the host's own words, the code says why.
    """
    sent = talk.send(client, agent, name, text, thread=thread, files=files)
    player = Player(is_shown=not as_json)
    with _leaving(agent):
        last = player.play(Patience(player.wait).over(talk.hear(client, sent)))
    if as_json:
        told = {key: sent[key] for key in ("chat", "session", "message")}
        told |= {"kind": last.kind, "text": last.text}
        told["notices"] = [{"code": one.code, "text": one.text} for one in player.notices]
        told["doing"] = player.doing
        told["said"] = player.said
        told["files"] = player.files
        if last.kind == "error":
            render.data(told | {"code": last.code})
            raise typer.Exit(_failed(last).row.exit_code)
        if last.kind == "question":
            told |= {"question": last.question, "options": last.options}
        render.data(told)
    elif last.kind == "error":
        raise _failed(last)
    elif last.kind == "question":
        render.note(f"Answer with your next message, or: ironclaw question answer {last.question}")


def converse(
    client: Client,
    beside: Client,
    following: Following,
    agent: str,
    name: str,
    *,
    thread: str | None,
) -> None:
    """Send line after line until the end of input; a person is shown what comes meanwhile, too.

    Args:
        client: For the messages.
        beside: For commands that are typed while one of them is answered.
        following: What comes by itself.
        agent: By name or id.
        name: Of the chat.
        thread: In it.
    """
    one_at_a_time = threading.Lock()

    def command(text: str) -> None:
        with one_at_a_time:
            sent = talk.send(beside, agent, name, text, thread=thread)
        following.answer_aside(sent)

    def send(text: str) -> dict[str, Any]:
        # Who wants it stopped before it is there is heard after it.
        with one_at_a_time:
            sent = talk.send(client, agent, name, text, thread=thread)
            if render.is_seen():
                following.begin(sent)
        return sent

    typing = Typing(command, leave=LEAVE)
    _check_agent(client, agent)
    render.note(f"Talking to {agent}. /help shows its commands; leave with /quit or Ctrl-D.")
    if render.is_seen():
        render.note("While it is at work, Ctrl-C stops it.")
    try:
        while (text := typing.next(following.ask)) is not None and text.strip() not in LEAVE:
            if not text.strip():
                continue
            player = Player(is_shown=True, is_inset=True)
            with (
                stopping(partial(command, STOP), at_edge=player.at_edge) as is_told,
                _leaving(agent, is_told),
            ):
                if (sent := _taken(partial(send, text))) is None:
                    continue
                heard = following.beside(partial(talk.hear, client, sent))
                patience = Patience(player.wait)
                with (
                    following.playing(partial(_between, player, patience)),
                    typing.reading(player.at_edge, is_ahead=following.is_ahead),
                ):
                    last = player.play(patience.over(heard))
            if last.kind == "error":
                render.note(last.text, tone="bad")
    finally:
        following.close()
        # Otherwise a command is still on its way: it is not cut off.
        if one_at_a_time.acquire(blocking=False):
            beside.close()


def _between(player: Player, patience: Patience, show: Callable[[], None]) -> bool:
    """Show something on lines of its own, while nothing is shown of what is played."""

    def apart() -> None:
        player.pause()
        show()

    return patience.aside(apart)


def _taken(send: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What became of a message; None when a person was told that this one is refused."""
    try:
        return send()
    except IronClawError as error:
        if not render.is_seen() or error.code not in _REFUSED:
            raise
        render.error(error, as_json=False)
        return None


@contextlib.contextmanager
def _leaving(agent: str, is_told: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Whoever leaves an agent that is at work is told that it goes on.

    Args:
        agent: By name or id.
        is_told: Whether it was told to stop.
    """
    try:
        yield
    except KeyboardInterrupt:
        render.note("")
        if is_told():
            render.note("The agent was told to stop.")
        else:
            render.note(f"The agent goes on with it: `ironclaw chat {agent} /stop` stops it.")
        raise


def _check_agent(client: Client, agent: str) -> None:
    """Refuse an agent that one cannot talk to before a line is typed. Raises UserError."""
    # Not the agent's own page: who may only talk may not look.
    known = client.get("v1", "me")["agents"]
    if agent in known or agent.startswith("agt_"):
        return
    names = ", ".join(name for name, rights in known.items() if "talk" in rights)
    raise UserError(
        Code.NOT_FOUND,
        f"There is no agent {agent[:80]!r}.",
        hint=f"You may talk to: {names}." if names else "Nobody has let you talk to any agent yet.",
    )


def _failed(last: Spoken) -> PeerError:
    # A daemon that is newer than this program may have more codes.
    code = Code(last.code) if last.code in set(Code) else Code.BOX_BROKEN
    # Of a budget the words themselves say what to do; who stopped it has nothing to look for.
    is_said = code in {Code.RATE_LIMITED, Code.STOPPED}
    hint = "" if is_said else "`ironclaw logs` has what happened."
    return PeerError(code, last.text, hint=hint)
