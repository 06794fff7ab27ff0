"""The documents cannot lie: their links, commands, paths, versions and words are checked."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from tests.support.tree import ROOT, name_of, tracked

import ironclaw
from ironclaw.cli.main import COMMANDS, load

DOCUMENTS = [path for path in tracked() if path.suffix == ".md"]
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# The words of the system; a page of the reference says what each means here.
WORDS = (
    *("core", "sandbox", "airlock", "slot", "claim", "agent", "chat", "wiring", "session"),
    *("segment", "ledger", "turn", "transcript", "channel", "delivery", "principal", "scope"),
    *("image", "digest", "rootfs"),
)


def documented(path: Path) -> list[list[str]]:
    """The commands of a document's console blocks, and those of its claims table."""
    text = path.read_text()
    typed = [
        line.removeprefix("$ ")
        for block in _BLOCK.findall(text)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    claimed = re.findall(r"^\|[^|]*\| `(\./run [^`]*)` \|", text, re.MULTILINE)
    return [shlex.split(line) for line in [*typed, *claimed]]


def trouble_with(words: list[str]) -> str | None:
    """Why a documented command cannot work, or None."""
    match words:
        case ["./run", "test", *paths]:
            absent = [path for path in paths if not (ROOT / path.split("::")[0]).exists()]
            return f"no such path: {absent}" if absent else None
        case ["sleep", _] | ["./run", "demo" | "system" | "requirements" | "COMMAND", *_]:
            return None
        case ["./run", "ironclaw", *rest] | ["ironclaw", *rest]:
            return trouble_with_command(rest)
    return f"unknown program {words[0]}"


def trouble_with_command(words: list[str]) -> str | None:
    """Why `ironclaw` with these words cannot work, or None."""
    if words[0].startswith("-"):
        return None
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    subcommands = getattr(load(words[0]), "commands", None)
    if subcommands is not None and words[1] not in subcommands:
        return f"no command {words[0]} {words[1]}"
    return None


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_documented_commands_exist(path: Path) -> None:
    """Each command that a document tells people to type is there."""
    trouble = {
        shlex.join(words): why
        for words in documented(path)
        if (why := trouble_with(words)) is not None
    }

    assert trouble == {}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link names a file or folder of the checkout."""
    dead = [
        link
        for link in _LINK.findall(path.read_text())
        if "://" not in link and not (path.parent / link).exists()
    ]

    assert dead == []


def test_the_readme_leads_from_nothing_to_a_reply() -> None:
    """The first command a stranger meets is the one that does it all."""
    assert documented(ROOT / "README.md")[0] == ["./run", "demo"]


def test_each_claim_can_fail() -> None:
    """A claim has a command, and says what its failure looks like."""
    readme = (ROOT / "README.md").read_text()
    table = readme.split("## Claims", 1)[1].split("\n## ", 1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("| ") and "command" not in line
    ]

    assert rows
    assert [row for row in rows if len(row) != 3 or not all(row)] == []


def test_the_version_is_one() -> None:
    """Project, package and changelog name the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest is not None
    assert {project, ironclaw.__version__} == {newest[1]}


def test_the_words_of_the_system_are_explained() -> None:
    """The glossary has a row for each of our words."""
    glossary = (ROOT / "docs/reference/glossary.md").read_text().lower()
    absent = [word for word in WORDS if not re.search(rf"\b{word}\b", glossary)]

    assert absent == []


def test_decisions_are_numbered_once() -> None:
    """No two decision records share a number, and each says its status."""
    records = [path for path in DOCUMENTS if path.parent == ROOT / "docs/adr"]
    numbers = [path.name[:4] for path in records]

    assert all(re.fullmatch(r"[0-9]{4}-[a-z0-9-]+\.md", path.name) for path in records)
    assert len(set(numbers)) == len(numbers)
    assert [name_of(path) for path in records if "status" not in path.read_text().lower()] == []
