"""What the README and the tutorial tell people to type, typed: as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.support.house import remove_as_owner
from tests.support.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.people import Person

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(1800)]

USERS = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)


class Somebody(NamedTuple):
    """One user with directories of their own, who types commands in the checkout."""

    person: Person | None
    place: Path
    image: Path

    def words(self, line: str) -> list[str]:
        """The command of one documented line, as this user and with their directories."""
        settings = {
            f"IRONCLAW_PATHS_{name.upper()}_DIR": str(place)
            for name, place in (
                ("state", self.place / "state"),
                ("runtime", self.place / "runtime"),
                ("image", self.image),
            )
        } | {"IRONCLAW_API_TCP": "false"}  # the port may be somebody's; the socket is theirs
        words = ["env", *(f"{name}={value}" for name, value in settings.items())]
        words += shlex.split(line)
        return words if self.person is None else self.person.command(*words)

    def types(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run one documented line."""
        return subprocess.run(
            self.words(line),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=1700,
        )


@pytest.fixture(scope="module", params=USERS)
def somebody(request: pytest.FixtureRequest) -> Iterator[Somebody]:
    """Each kind of user, with nothing there yet; what they leave running is taken down."""
    person = None
    if request.param != "root":
        person = request.getfixturevalue("ordinary_person")
    with placed(person) as place:
        yield Somebody(person, place, place / "image")


@pytest.fixture
def newcomer(somebody: Somebody) -> Iterator[Somebody]:
    """The same user with a house that nobody has been in yet."""
    with placed(somebody.person) as place:
        yield somebody._replace(place=place)


@contextmanager
def placed(person: Person | None) -> Iterator[Path]:
    """A directory of that user; what runs in it is taken down."""
    # Not below pytest's own folder: that is closed to the other user.
    place = Path(tempfile.mkdtemp(prefix="icl-"))
    if person is not None:
        os.chown(place, person.uid, person.gid)
    yield place
    Somebody(person, place, place / "image").types("./run ironclaw down")
    remove_as_owner(place)
    if place.exists():
        place.rmdir()


def test_the_demo_ends_with_what_sealed_the_reply(somebody: Somebody) -> None:
    """`./run demo --json` prints one object: a reply, where it ran, and how."""
    done = somebody.types("./run demo --json")

    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout[done.stdout.index("{") :])
    assert told["reply"]
    assert (told["runtime"], told["network"], told["uid"]) == ("runsc", "none", 65532)
    assert told["rootless"] is (somebody.person is not None or os.geteuid() != 0)
    assert re.search(r"20[0-9]{6}", told["runsc_version"])
    assert told["platform"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", told["image_digest"])
    assert told["cold_ms"] > 0
    assert told["warm_ms"] > 0


def test_a_quick_proof_holds_for_each_kind_of_user(somebody: Somebody) -> None:
    """`./run ironclaw prove --quick --json` attacks it; what the host lacks is named."""
    page = somebody.place / "proof.html"

    done = somebody.types(f"./run ironclaw prove --quick --json --html {page}")

    told = json.loads(done.stdout)
    failed = {row["name"]: row["outcome"] for row in told["rows"] if not row["passed"]}
    assert failed == {}
    assert done.returncode == 0
    assert told["failed"] == 0
    assert told["passed"] == told["checks"] >= 100
    assert sum(group["checks"] for group in told["groups"].values()) == told["checks"]
    is_root = somebody.person is None and os.geteuid() == 0
    assert told["machine"]["user"] == ("root" if is_root else "ordinary user")
    # A control that is absent is in the list, and in the words of the receipt.
    assert bool(told["not_enforced_here"]) == any("cgroup" in words for words in told["weaker"])
    assert f"{told['checks']} of {told['checks']} checks held" in page.read_text()


def test_an_interrupted_proof_leaves_nothing(somebody: Somebody) -> None:
    """Ended in the middle, by whatever signal, it takes its house down; twice is no quicker."""
    with subprocess.Popen(
        somebody.words("./run ironclaw prove --twins --only wall"),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as proof:
        assert proof.stderr is not None
        begun = next(line for line in proof.stderr if line.startswith("prove: "))
        os.killpg(proof.pid, signal.SIGTERM)
        os.killpg(proof.pid, signal.SIGTERM)
        proof.communicate(timeout=60)

    assert "wall" in begun
    assert proof.returncode == 130
    assert [path.name for path in somebody.place.iterdir() if "prove" in path.name] == []


def test_the_tutorial_ends_with_a_memory(newcomer: Somebody) -> None:
    """The tutorial's own lines work in their order, and the agent remembers what it was told."""
    text = (ROOT / "docs/tutorial/first-reply.md").read_text()
    section = text.split("## 3.", 1)[1].split("\n## ", 1)[0]
    typed = [line[2:] for line in section.splitlines() if line.startswith("$ ")]

    heard = {}
    for line in typed:
        done = newcomer.types(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr[-4000:]}"
        heard[line] = done.stdout

    recalled = next(said for line, said in heard.items() if "!recall" in line)
    assert "17" in recalled


def test_the_tutorial_about_changes_works_in_its_order(newcomer: Somebody) -> None:
    """The agent asks, its wish waits, rights are given for a time, and Ann is next to decide."""
    text = (ROOT / "docs/tutorial/first-change.md").read_text()
    typed = [line[2:] for line in text.splitlines() if line.startswith("$ ")]

    heard = []
    for line in typed:
        done = newcomer.types(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr[-4000:]}"
        heard.append((line, done.stdout))

    writes = [said for line, said in heard if "!tool write_file" in line]
    assert "there is no tool of that name" in writes[0]
    asks = next(said for line, said in heard if "!tool request_change" in line)
    assert "asked: chg_" in asks
    waiting = next(said for line, said in heard if line.endswith("change list"))
    assert "write_file" in waiting
    assert "pending" in waiting
    last = json.loads(next(said for line, said in heard if line.endswith("--json")))
    assert last["row"]["status"] == "pending"
    assert last["may_decide"] is False
