"""A real house for tests: keeper, core, API and boxes on runsc, run by one kind of user.

`houses` builds the image once and opens houses on copies of it; each is driven as people drive it,
by the command line (`House.cli`) and the HTTP API (`House.api`), and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.api import Api

from ironclaw.image.build import build_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.people import Person

USERS = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)
"""As whom houses are run: an ordinary user cannot be root for a test."""
_WAIT_S = 20.0
_COMMAND_S = 120.0


class Said(NamedTuple):
    """What one command said."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """The object of `--json`, which is the last line and nothing else."""
        return json.loads(self.out)


class Box(NamedTuple):
    """A box as its house's runtime directory has it."""

    slot: str
    sentry: int
    gofer: int
    spec: dict[str, Any]
    """The OCI spec it was started from."""


class House:
    """One house. `person` is None when it is the tests' own user's."""

    def __init__(self, place: Path, person: Person | None, image: Path, python: str) -> None:
        self.place = place
        self.person = person
        self.state = place / "state"
        self.runtime = place / "run"
        self.image = image
        self.python = python
        self.is_root = person is None and os.geteuid() == 0
        self.settings: dict[str, str] = {}
        """What `cli` sets beyond the directories, as `SANDBOX_POOL_SIZE` -> text."""

    # --- the command line -------------------------------------------------------------------------

    def argv(self, *words: str, environment: dict[str, str] | None = None) -> list[str]:
        """`ironclaw` with these words, as this house's user and with its directories."""
        settings = {
            "PATHS_STATE_DIR": str(self.state),
            "PATHS_RUNTIME_DIR": str(self.runtime),
            "PATHS_IMAGE_DIR": str(self.image),
            "API_TCP": "false",  # the port may be somebody's; the socket is this house's
            **self.settings,
        }
        variables = {f"IRONCLAW_{name}": text for name, text in settings.items()}
        program = [self.python, "-s", "-P", "-m", "ironclaw.cli.main", *words]
        return self.as_user(*program, environment=variables | (environment or {}))

    def as_user(self, *program: str, environment: dict[str, str] | None = None) -> list[str]:
        """A program as this house's user, who finds the packages that the tests have."""
        variables = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
        variables |= environment or {}
        words = ["env", *(f"{name}={text}" for name, text in variables.items()), *program]
        return words if self.person is None else self.person.command(*words)

    def cli(
        self,
        *words: str,
        environment: dict[str, str] | None = None,
        stdin: str = "",
        before: tuple[str, ...] = (),
        timeout_s: float = _COMMAND_S,
    ) -> Said:
        """Run one command to its end. `before` are words that start another program first."""
        argv = [*before, *self.argv(*words, environment=environment)]
        return _run(argv, stdin=stdin, timeout_s=timeout_s)

    def up(self, **settings: str) -> None:
        """Start it with these settings from now on."""
        self.settings = settings
        said = self.cli("up", "--json")
        assert said.status == 0, said

    def down(self) -> None:
        """Stop it."""
        said = self.cli("down", "--json")
        assert said.status == 0, said

    @property
    def is_ready(self) -> bool:
        """Whether its API answers."""
        try:
            with self.api() as api:
                return bool(api.get("/v1/status").status == 200)
        except OSError:
            return False

    @property
    def is_up(self) -> bool:
        """Whether a keeper of it runs."""
        return self._keeper() is not None

    # --- the API ----------------------------------------------------------------------------------

    @contextmanager
    def api(self) -> Iterator[Api]:
        """A client with the house's own first token."""
        token = (self.state / "api-token").read_text().strip()
        with closing(Api(self.runtime / "api.sock", token)) as client:
            yield client

    def ask(self, agent: str, text: str, *, chat: str = "main") -> Any:
        """Say something and wait for what came of it; fails when that is no reply."""
        with self.api() as api:
            sent = api.say(agent, text, chat=chat)
        assert sent["status"] == "answered", sent
        return sent

    # --- from outside -----------------------------------------------------------------------------

    @property
    def view(self) -> Path:
        """Where the nest's view is; seen from inside the nest only."""
        return Path(json.loads((self.runtime / "keeper.json").read_text())["view"])

    def core(self) -> int | None:
        """The core's pid; None while there is none."""
        keeper = self._keeper()
        for pid in [] if keeper is None else _children(keeper):
            if b"ironclaw.daemon" in _words(pid):
                return pid
        return None

    def boxes(self) -> dict[str, Box]:
        """Running boxes by slot."""
        found = {}
        for file in (self.runtime / "runsc").glob("*.state"):
            # Another box may come to its end meanwhile.
            with contextlib.suppress(FileNotFoundError):
                state = json.loads(file.read_text())
                slot = str(state["id"]).removeprefix("ironclaw-")
                spec = json.loads((self.runtime / "bundles" / slot / "config.json").read_text())
                found[slot] = Box(slot, state["sandbox"]["pid"], state["goferPid"], spec)
        return found

    def box_of(self, session: str) -> Box:
        """The box that a session has now."""
        with self.api() as api:
            receipt = api.get(f"/v1/sessions/{session}/receipt").body
        return self.boxes()[receipt["slot"]]

    def in_nest(self, *program: str, stdin: str = "") -> str:
        """Run a program where the house's mounts are seen, with all power over its files."""
        enter = ["nsenter", f"--target={self.core()}", "--mount"]
        if os.geteuid() != 0:
            enter += ["--user", "--setuid=0", "--setgid=0"]
        said = _run([*enter, *program], stdin=stdin)
        assert said.status == 0, said
        return said.out

    def _keeper(self) -> int | None:
        try:
            pid = int(json.loads((self.runtime / "keeper.json").read_text())["pid"])
        except (OSError, ValueError):
            return None
        return pid if b"ironclaw.sandbox.keeper" in _words(pid) else None


class Houses(NamedTuple):
    """Opens houses of one kind of user, all on one image directory."""

    place: Path
    person: Person | None
    image: Path
    digest: str
    python: str

    @contextmanager
    def open(self, **settings: str) -> Iterator[House]:
        """A running house with nothing in it; at the end it is down and gone."""
        with self.closed() as house:
            try:
                house.up(**settings)
                yield house
            finally:
                house.settings = {}
                house.cli("down")

    @contextmanager
    def closed(self) -> Iterator[House]:
        """A house that does not run, for commands that need none; at the end it is gone."""
        place = Path(tempfile.mkdtemp(prefix="h-", dir=self.place))
        _give(place, self.person)
        try:
            yield House(place, self.person, self.image, self.python)
        finally:
            remove_as_owner(place)


@contextmanager
def houses(person: Person | None, made: Path | None) -> Iterator[Houses]:
    """Houses of `person`, or of the tests' own user.

    Args:
        person: None when it is the tests' own user.
        made: The image directory of the tests' own user, to be copied; None builds one.
    """
    # Not below pytest's own folder: names of sockets are short, and it is closed to others.
    with tempfile.TemporaryDirectory(prefix="icl-", ignore_cleanup_errors=True) as scratch:
        place = Path(scratch)
        place.chmod(0o755)
        image = place / "image"
        if made is None:
            image.mkdir(0o700)
        else:
            # The documents and layers; the other user verifies and unpacks them for themselves.
            shutil.copytree(made / "images", image / "images")
            image.chmod(0o700)
        digest = asyncio.run(build_image(made or image, progress=str))
        for path in (place, image, *image.rglob("*")) if made else ():
            _give(path, person)
        try:
            yield Houses(place, person, image, digest, _interpreter(person, place))
        finally:
            remove_as_owner(place)


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait for something that tells nobody when it happens."""
    deadline = time.monotonic() + _WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def wait_for_end(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], _WAIT_S)[0], f"process {pid} goes on"
    finally:
        os.close(descriptor)


def python_for(person: Person | None) -> str:
    """An interpreter that this user may run; a virtual environment can be in a closed home."""
    if person is None:
        return sys.executable
    tried = _run(person.command(sys.executable, "-c", ""))
    return sys.executable if tried.status == 0 else "/usr/bin/python3"


def _interpreter(person: Person | None, place: Path) -> str:
    """An interpreter that finds our packages by itself.

    The zygote takes nothing from the environment, so `PYTHONPATH` would not reach it.
    """
    python = python_for(person)
    if python == sys.executable:
        return python
    home = place / "python"
    made = _run([python, "-m", "venv", "--without-pip", str(home)])
    assert made.status == 0, made
    (site,) = home.glob("lib/python3*/site-packages")
    (site / "tests.pth").write_text("\n".join(path for path in sys.path if path) + "\n")
    return str(home / "bin" / "python")


def remove_as_owner(place: Path) -> None:
    """Remove what is in a directory, also what boxes of an ordinary user own there."""
    if os.geteuid() == 0:
        shutil.rmtree(place, ignore_errors=True)
        return
    remove = ["rm", "-rf", *(str(path) for path in place.iterdir())]
    done = _run(["unshare", "--user", "--map-root-user", "--map-auto", *remove])
    assert done.status == 0, done


def _give(path: Path, person: Person | None) -> None:
    if person is not None:
        os.chown(path, person.uid, person.gid, follow_symlinks=False)


def _run(argv: list[str], *, stdin: str = "", timeout_s: float = _COMMAND_S) -> Said:
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False, cwd="/"
    )
    return Said(done.returncode, done.stdout, done.stderr)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
