"""The locks: complete, pinned by hash, without an address, under licences that we may ship."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from tests.support.tree import ROOT

FOLDER = ROOT / "requirements"
LOCKS = ("base", "backend", "dev")
# Words that a licence expression may be made of. Copyleft that binds linked programs is not here.
LICENCES = re.compile(
    r"apache|mit\b|bsd|isc|python software foundation|psf|mozilla public|mpl|unlicense|zlib"
    r"|osi.approved|freely, subject to the following restrictions|0bsd|public domain",
    re.IGNORECASE,
)
# Patches built-in types for a test double; its metadata offers a choice of licences.
TOOLS_NOT_SHIPPED = {"forbiddenfruit"}


def pins(name: str) -> dict[str, str]:
    """Package to version, of one lock."""
    rows = re.findall(r"^([a-z0-9\-]+)==(\S+)", (FOLDER / f"{name}.txt").read_text(), re.MULTILINE)
    return dict(rows)


def canonical(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement)[0].lower().replace("_", "-")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_pins_and_hashes_only(name: str) -> None:
    """Each line is a pin or a hash of the pin above it; no address, no option."""
    text = (FOLDER / f"{name}.txt").read_text()
    line = re.compile(r"[a-z0-9\-]+==[0-9a-z.]+( ; [^:]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")

    assert [row for row in text.splitlines() if not line.fullmatch(row)] == []
    assert all(block.count("--hash") for block in re.split(r"\n(?=[a-z])", text))


def test_every_dependency_is_locked() -> None:
    """What pyproject.toml asks for is in the lock made for it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = {
        "base": project["project"]["dependencies"],
        "dev": project["project"]["optional-dependencies"]["dev"],
        **project["dependency-groups"],
    }

    missing = {
        name: absent
        for name, wanted in asked.items()
        if (absent := {canonical(row) for row in wanted} - pins(name).keys())
    }

    assert missing == {}


def test_the_locks_agree() -> None:
    """A package has the same version wherever it is locked."""
    assert pins("base").items() <= pins("dev").items()


@pytest.mark.parametrize("name", sorted(pins("dev").keys() - TOOLS_NOT_SHIPPED))
def test_a_dependency_may_be_shipped(name: str) -> None:
    """Its licence is one of the permissive ones, or weak copyleft by file."""
    metadata = importlib.metadata.metadata(name)
    said = [
        metadata.get("License-Expression") or "",
        metadata.get("License") or "",
        *(row for row in metadata.get_all("Classifier") or [] if row.startswith("License")),
        *(
            file.read_text()
            for file in importlib.metadata.files(name) or []
            if file.stem == "LICENSE"
        ),
    ]

    assert LICENCES.search("\n".join(said)), said


def test_system_packages_are_listed_once() -> None:
    """Each line of the apt lists is a package and how to see that it is there."""
    rows = [
        row.split()
        for name in ("apt.txt", "apt-test.txt")
        for row in Path(FOLDER / name).read_text().splitlines()
        if row and not row.startswith("#")
    ]

    assert {len(row) for row in rows} == {2}
    assert len({row[0] for row in rows}) == len(rows)
