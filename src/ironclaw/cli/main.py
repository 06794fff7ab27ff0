"""`ironclaw`, the one command. Each command is in a module of its own, loaded when it is used.

Exit codes: 0, the codes of `ironclaw.core.codes`, 2 for a wrong command line, 130 when interrupted.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import ironclaw
from ironclaw.cli import render
from ironclaw.cli.as_typed import as_typed
from ironclaw.cli.options import choose
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError

INTERRUPTED: Final = 130


class _Lazy(NamedTuple):
    """Where a command is."""

    module: str
    attribute: str
    help: str


COMMANDS: Final[dict[str, _Lazy]] = {
    "up": _Lazy("ironclaw.cli.house", "up", "Start the daemon."),
    "down": _Lazy("ironclaw.cli.house", "down", "Stop the daemon and everything in it."),
    "status": _Lazy("ironclaw.cli.house", "status", "Show how the daemon does."),
    "logs": _Lazy("ironclaw.cli.house", "logs", "Show what the daemon wrote."),
    "doctor": _Lazy("ironclaw.cli.doctor", "doctor", "Try each thing that a launch needs."),
    "demo": _Lazy("ironclaw.cli.demo", "demo", "From nothing to a sealed reply, and away again."),
    "chat": _Lazy("ironclaw.cli.chat", "chat", "Talk to an agent."),
    "agent": _Lazy("ironclaw.cli.nouns.agents", "agent_app", "Agents: what they are and may."),
    "skill": _Lazy("ironclaw.cli.nouns.skills", "skill_app", "Instructions for agents."),
    "task": _Lazy("ironclaw.cli.nouns.tasks", "task_app", "What agents do at times of their own."),
    "change": _Lazy("ironclaw.cli.nouns.changes", "change_app", "Changes that were asked for."),
    "approve": _Lazy("ironclaw.cli.nouns.deciding", "approve", "Say yes to a change."),
    "reject": _Lazy("ironclaw.cli.nouns.deciding", "reject", "Say no to a change."),
    "grant": _Lazy("ironclaw.cli.nouns.grants", "grant_app", "What changes gave; take it back."),
    "policy": _Lazy("ironclaw.cli.nouns.policies", "policy_app", "Who decides on changes."),
    "model": _Lazy(
        "ironclaw.cli.nouns.models", "model_app", "Model providers, and whether they have keys."
    ),
    "session": _Lazy(
        "ironclaw.cli.nouns.sessions", "session_app", "List, show, stop sessions; their receipts."
    ),
    "question": _Lazy(
        "ironclaw.cli.nouns.questions", "question_app", "What agents ask people; answer it."
    ),
    "memory": _Lazy("ironclaw.cli.nouns.memory", "memory_app", "What agents have noted."),
    "usage": _Lazy(
        "ironclaw.cli.nouns.usage", "usage", "What agents have used of their models; budgets."
    ),
    "file": _Lazy("ironclaw.cli.nouns.files", "file_app", "List and get files of conversations."),
    "receipt": _Lazy("ironclaw.cli.receipt", "receipt_app", "Verify receipts, on any machine."),
    "audit": _Lazy(
        "ironclaw.cli.nouns.audit", "audit_app", "Show, verify, export, rotate the audit."
    ),
    "why": _Lazy("ironclaw.cli.why", "why", "Tell what the audit has of an id."),
    "wiring": _Lazy("ironclaw.cli.nouns.wirings", "wiring_app", "Which chat reaches which agent."),
    "role": _Lazy("ironclaw.cli.nouns.roles", "role_app", "Who may do what with which agent."),
    "principal": _Lazy("ironclaw.cli.nouns.principals", "principal_app", "Who is known here."),
    "me": _Lazy("ironclaw.cli.nouns.principals", "me", "Show whom you act as, and what you may."),
    "token": _Lazy("ironclaw.cli.nouns.tokens", "token_app", "Mint, list, revoke API tokens."),
    "image": _Lazy("ironclaw.cli.image", "image_app", "Build, import, pull, verify images."),
    "prove": _Lazy("ironclaw.cli.prove", "prove", "Attack real boxes: does the wall hold here?"),
    "bench": _Lazy("ironclaw.cli.bench", "bench", "Measure every budget."),
}


class _Stub(TyperCommand):
    """A command that is not loaded: enough for the list of commands."""


class LazyGroup(TyperGroup):
    """Loads a command's module when the command is used, so that `--help` is quick."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # Among these the library looks for what a mistyped name may have meant.
        self.commands = {name: _Stub(name, help=row.help) for name, row in COMMANDS.items()}

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; a stub while only help is asked for."""
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        if ctx.invoked_subcommand is None and ctx.params.get("_listing"):
            return self.commands[cmd_name]
        return load(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help of the group without loading what it lists."""
        ctx.params["_listing"] = True
        super().format_help(ctx, formatter)


def load(name: str) -> Any:
    """Load one command."""
    row = COMMANDS[name]
    found = getattr(importlib.import_module(row.module), row.attribute)
    parent = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=name, no_args_is_help=True)
    else:
        parent.command(name)(found)
        # A second command keeps the first one from becoming the whole of its parent.
        parent.command("-")(lambda: None)
    group: Any = get_command(parent)
    return group.commands[name]


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="AI agents that nobody has to trust: each session sealed in gVisor.",
)


def _version(value: bool) -> None:  # noqa: FBT001 - the option's callback gets it so
    if value:
        render.line(f"ironclaw {ironclaw.__version__}")
        raise typer.Exit


@app.callback()
def root(
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file (TOML).")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            envvar="IRONCLAW_TOKEN_FILE",
            help="File with the token to act with; the first one's if not.",
        ),
    ] = None,
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """AI agents that nobody has to trust: each session sealed in gVisor."""
    del version
    choose(config, token_file)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Run the command line; return the exit code."""
    as_json = "--json" in argv
    try:
        result = get_command(app)(argv, prog_name="ironclaw", standalone_mode=False)
    except IronClawError as error:
        return render.error(as_typed(error, *_typed(argv)), as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        render.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough; closing quietly is what a pipe expects.
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001 - the outermost edge
        return _unexpected(error, as_json=as_json)
    if result == INTERRUPTED:
        # The library made a status of it. The terminal is behind a `^C`: begin a line of our own.
        render.note("")
        render.note("interrupted")
    return result if isinstance(result, int) else 0


class _Typed(NamedTuple):
    """A command that was typed."""

    command: Any
    """None when there was none."""
    path: str
    """Its whole name, `ironclaw task add`."""


def _typed(argv: list[str]) -> _Typed:
    """The command of a command line, without the words before and behind it."""
    words = iter(argv)
    before = ""
    for name in words:
        if name in COMMANDS and before not in {"--config", "--token-file"}:
            break
        before = name
    else:
        return _Typed(None, "")
    command, path = load(name), f"ironclaw {name}"
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command, path = inner, f"{path} {word}"
    return _Typed(command, path)


def _unexpected(error: Exception, *, as_json: bool) -> int:
    """A wrong command line, or our own mistake."""
    # The class of the first is private to the library, its two members are not.
    code = getattr(error, "exit_code", None)
    if not isinstance(code, int) or not hasattr(error, "show"):
        return _bug(error, as_json=as_json)
    if as_json:
        return render.misuse(_said(error), code)
    error.show()
    return code


def _said(error: Exception) -> str:
    """What the library says of a wrong command line, without the command's usage."""
    said = getattr(error, "format_message", None)
    return str(said()) if callable(said) else str(error)


def _bug(error: Exception, *, as_json: bool) -> int:
    import traceback  # noqa: PLC0415 - only when something is badly wrong

    problem = HostError(
        Code.BUG,
        f"IronClaw made a mistake: {type(error).__name__}: {error}",
        hint="Please report it with the lines below.",
        detail="".join(traceback.format_exception(error)),
    )
    return render.error(problem, as_json=as_json)


if __name__ == "__main__":
    main()
