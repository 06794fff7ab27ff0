"""The verbs of `ironclaw agent` that ask for a change of one that is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon
from ironclaw.cli.nouns.places import ChannelOption, ChatOption, place
from ironclaw.cli.options import AgentArgument, Despite, For, Json, Reason, Yes
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.persona_parts import compose, parts_of
from ironclaw.domain.principals import API_CHANNEL
from ironclaw.domain.relaying import AGENT_CHANNEL
from ironclaw.domain.spending import micros

_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_BYTES: Final = ("memory_bytes", "file_bytes", "disk_bytes")
_MONEY: Final = ("money_per_day", "money_per_session")
LIMITS: Final = (
    *_BYTES,
    "cpu_millis",
    "pids",
    "files",
    "disk_files",
    "pool_size",
    "max_steps",
    "turn_s",
    "calls_per_day",
    "tokens_per_day",
    "calls_per_session",
    "tokens_per_session",
    *_MONEY,
    "turn_total_s",
)
"""Names of limits, as `agent limits NAME=VALUE` takes them."""
_NameArgument = Annotated[str, typer.Argument(help="a-z, 0-9 and '-'.")]


def add_to(app: typer.Typer) -> None:
    """Put these verbs into `ironclaw agent`."""
    app.command("persona")(agent_persona)
    app.command("model")(agent_model)
    app.command("tools")(agent_tools)
    app.command("limits")(agent_limits)
    app.command("share")(agent_share)
    app.command("unshare")(agent_unshare)
    app.command("destination")(agent_destination)


def agent_persona(
    agent: AgentArgument,
    persona: Annotated[
        str | None, typer.Argument(help="Who it is, in words; `@FILE` reads a file.")
    ] = None,
    *,
    identity: Annotated[
        str | None, typer.Option(help="Only this part: who it is, and for whom; or `@FILE`.")
    ] = None,
    soul: Annotated[
        str | None, typer.Option(help="Only this part: what it cares about, how it talks.")
    ] = None,
    instructions: Annotated[
        str | None, typer.Option(help="Only this part: how it goes about its work.")
    ] = None,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for another persona, or for another part of it."""
    parts = {"identity": identity, "soul": soul, "instructions": instructions}
    told = {name: _text(text) for name, text in parts.items() if text is not None}
    if (persona is None) is not bool(told):
        raise UserError(
            Code.INVALID,
            "Give either the whole persona, or parts of it.",
            hint="`ironclaw agent persona AGENT --soul 'You are brief.'` alters one part.",
        )
    if persona is None:
        with daemon() as client:
            now = client.get("v1", "agents", agent)["persona"]
        text = compose(parts_of(now)._replace(**told))
    else:
        text = _text(persona)
    spec = {"kind": "persona", "agent": agent, "persona": text}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


def agent_model(
    agent: AgentArgument,
    model: Annotated[str, typer.Argument(help="`PROVIDER/MODEL`: see `ironclaw model list`.")],
    *,
    fallback: Annotated[
        list[str] | None,
        typer.Option(help="Asked when it cannot answer; repeat, in order. `none`: no more."),
    ] = None,
    temperature: Annotated[
        str | None, typer.Option(help="0 to 2; `default`: the provider's own.")
    ] = None,
    max_output: Annotated[
        str | None, typer.Option(help="Tokens of one answer; `default`: the agent's own.")
    ] = None,
    thinking: Annotated[
        str | None,
        typer.Option(help="off, low, medium or high; `default`: the provider's own."),
    ] = None,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for another model, for models that stand in for it, for other parameters."""
    spec: dict[str, Any] = {"kind": "model", "agent": agent, "model": model}
    if fallback:
        spec["fallbacks"] = [] if fallback == ["none"] else fallback
    named = {
        "temperature_hundredths": _number(temperature, "temperature", times=100, most=2),
        "max_output_tokens": _number(max_output, "max-output", times=1, most=None),
    }
    spec |= {name: value for name, value in named.items() if isinstance(value, int)}
    if thinking not in {None, "default"}:
        spec["thinking"] = thinking
    if default := [n for n, v in (*named.items(), ("thinking", thinking)) if v == "default"]:
        spec["default"] = default
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


def _number(text: str | None, option: str, *, times: int, most: int | None) -> int | str | None:
    """An option that is a number or `default`. Raises UserError (`INVALID`)."""
    if text is None or text == "default":
        return text
    try:
        number = round(float(text) * times)
    except (ValueError, OverflowError) as error:
        raise UserError(
            Code.INVALID, f"{text[:80]!r} is no number.", hint=f"Write --{option} 1, or default."
        ) from error
    # Its field has another unit, in which nobody types it.
    if most is not None and not 0 <= number <= most * times:
        raise UserError(
            Code.INVALID,
            f"--{option} must be 0 to {most}, not {text[:80]}.",
            hint=f"Write --{option} 1, or default.",
        )
    return number


def agent_tools(
    agent: AgentArgument,
    *,
    add: Annotated[list[str] | None, typer.Option(help="A tool to give; repeat.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tool to take away; repeat.")] = None,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for tools to be given or taken away."""
    spec = {"kind": "tools", "agent": agent, "add": add or [], "remove": remove or []}
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


def agent_limits(
    agent: AgentArgument,
    limits: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...",
            help=f"{', '.join(LIMITS)}; bytes as 512M, money as 2.50; "
            "`none` for the house's own or none.",
        ),
    ],
    *,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for other limits."""
    named = [_limit(text) for text in limits]
    if len(dict(named)) != len(named):
        raise UserError(
            Code.INVALID, "A limit is named twice.", hint="Name each one once, NAME=VALUE."
        )
    spec = {
        "kind": "limits",
        "agent": agent,
        "unlimited": [name for name, value in named if value is None],
    } | {name: value for name, value in named if value is not None}
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


def agent_share(
    agent: AgentArgument,
    path: Annotated[Path, typer.Argument(help="A directory of this machine.")],
    *,
    name: Annotated[str, typer.Option(help="It is seen as /shared/NAME.")],
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that an agent sees a directory, read-only."""
    spec = {"kind": "mount.add", "agent": agent, "name": name, "path": str(path.absolute())}
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


def agent_unshare(
    agent: AgentArgument,
    name: _NameArgument,
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that an agent sees a directory no more."""
    spec = {"kind": "mount.remove", "agent": agent, "name": name}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


def agent_destination(
    agent: AgentArgument,
    name: _NameArgument,
    *,
    channel: ChannelOption = API_CHANNEL,
    chat: ChatOption = None,
    to_agent: Annotated[
        str | None, typer.Option(metavar="AGENT", help="Another agent, in place of a chat.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away instead.")] = False,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that an agent may send to another chat or to another agent, or no more."""
    spec = {"kind": "destination.remove", "agent": agent, "name": name}
    if not remove:
        where = (
            place(agent, channel, chat)
            if to_agent is None
            else {"channel": AGENT_CHANNEL, "platform_id": to_agent}
        )
        spec = spec | {"kind": "destination.add"} | where
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


def _limit(text: str) -> tuple[str, int | None]:
    """`NAME=VALUE` as name and number; None for `none`. Raises UserError (`INVALID`)."""
    name, _, value = text.partition("=")
    if name in _MONEY and value != "none":
        return name, _money(value)
    found = re.fullmatch(r"(\d{1,15})([kKmMgG]?)", value)
    if name not in LIMITS or (found is None and value != "none"):
        raise UserError(
            Code.INVALID,
            f"{text[:80]!r} is no limit.",
            hint=f"Write NAME=NUMBER or NAME=none; names: {', '.join(LIMITS)}.",
        )
    if found is None:
        return name, None
    return name, int(found[1]) * (_UNITS[found[2].lower()] if name in _BYTES else 1)


def _money(text: str) -> int:
    """An amount in millionths. Raises UserError (`INVALID`)."""
    try:
        return micros(text)
    except ValueError as error:
        raise UserError(
            Code.INVALID,
            f"{text[:80]!r} is no amount of money.",
            hint="Write it in the currency of this house, as 2.50.",
        ) from error


def _text(argument: str) -> str:
    if not argument.startswith("@"):
        return argument
    try:
        return Path(argument[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            Code.INVALID, f"{argument[1:]} cannot be read.", hint="Name a text file in UTF-8."
        ) from error
