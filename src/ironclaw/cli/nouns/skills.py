"""`ironclaw skill`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns import skill_files
from ironclaw.cli.nouns.changing import ask_for
from ironclaw.cli.nouns.daemon import daemon, done, show, when
from ironclaw.cli.options import AgentArgument, Despite, For, Json, Reason, Yes, settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.skills import read
from ironclaw.skills.packing import read_either
from ironclaw.skills.shelf import Shelf
from ironclaw.skills.signing import signer

if TYPE_CHECKING:
    from ironclaw.cli.client import Client

skill_app = typer.Typer(
    help="Skills: instructions and data for agents. Make, sign, import, give.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
NameArgument = Annotated[str, typer.Argument(metavar="SKILL", help="Its name, or its digest.")]


@skill_app.command("list")
def skill_list(*, as_json: Json = False) -> None:
    """List skills that were imported, and which agents have them."""
    with daemon() as client:
        found = client.get("v1", "skills")
    if as_json:
        render.data(found)
        return
    render.table(
        ("SKILL", "DIGEST", "SIGNED", "FILES", "BYTES", "IMPORTED", "AGENTS"),
        [
            (
                one["name"],
                one["digest"][:19],
                _signed(one),
                one["files"],
                one["bytes"],
                when(one["kept_ms"]),
                ", ".join(one["agents"]) or "-",
            )
            for one in found["skills"]
        ],
    )


@skill_app.command("show")
def skill_show(
    skill: Annotated[
        str, typer.Argument(metavar="SKILL", help="A folder, a file, or one that was imported.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Show a skill with its whole SKILL.md."""
    if Path(skill).exists():
        packed = read_either(Path(skill))
        folder = read(packed.tree)
        found = skill_files.facts(folder) | {"signer": signer(folder.files, packed.signature)}
        text = folder.text
    else:
        with daemon() as client:
            found = client.get("v1", "skills", skill)
        if not as_json:
            found["files"] = [f"{one['path']} ({one['size']} bytes)" for one in found["manifest"]]
            del found["manifest"]
        text = found.pop("text")
    if as_json:
        render.data(found | {"text": text})
        return
    show(found, as_json=False)
    render.line()
    render.block(text.rstrip("\n"))


@skill_app.command("add")
def skill_add(
    agent: AgentArgument,
    skill: NameArgument,
    *,
    reason: Reason = "",
    despite: Despite = None,
    lasts: For = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that an agent is given a skill that was imported."""
    with daemon() as client:
        found = client.get("v1", "skills", skill)
    spec = {
        "kind": "skill.add",
        "agent": agent,
        "name": found["name"],
        "digest": found["digest"],
    }
    ask_for(spec, reason=reason, despite=despite, lasts=lasts, yes=yes, as_json=as_json)


@skill_app.command("remove")
def skill_remove(
    agent: AgentArgument,
    name: Annotated[str, typer.Argument(metavar="SKILL", help="Its name.")],
    *,
    reason: Reason = "",
    despite: Despite = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask that a skill is taken from an agent, from its running boxes too."""
    spec = {"kind": "skill.remove", "agent": agent, "name": name}
    ask_for(spec, reason=reason, despite=despite, yes=yes, as_json=as_json)


@skill_app.command("drop")
def skill_drop(skill: NameArgument, *, as_json: Json = False) -> None:
    """Forget a skill that was imported and that no agent has."""
    with daemon() as client:
        found = _unused(client, skill)
    house = settings()
    Shelf(house.skills_dir, trusted=(), by_digest=False).drop(found["digest"])
    done("dropped", found["digest"], as_json=as_json)


def _unused(client: Client, skill: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("v1", "skills", skill)
    if found["agents"]:
        raise UserError(
            Code.CONFLICT,
            f"Agents have it: {', '.join(found['agents'])}.",
            hint=f"Take it from them first: `ironclaw skill remove AGENT {found['name']}`.",
        )
    return found


def _signed(one: dict[str, Any]) -> str:
    if not one["signer"]:
        return "by nobody"
    return f"by {one['signer'][:12]}" + ("" if one["is_trusted"] else " (not trusted)")


skill_files.add_to(skill_app)
