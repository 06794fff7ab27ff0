"""The image as it is built here: what is in it, what is not, twice the same, alive in gVisor."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ironclaw.image import oci
from ironclaw.image.layout import ImageStore
from ironclaw.image.rootfs import remove_tree
from ironclaw_contract.frames import FrameReader, decode_hello

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.people import Person

    from ironclaw_contract.rpc import Hello

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(300)]

_ROOT = Path(__file__).resolve().parents[2]
_BUILD_S = 150
"""Seconds for one whole build, from nothing."""


class Built(NamedTuple):
    """One built image."""

    state: Path
    digest: str
    tree: Path


def _command(*arguments: str, python: str = sys.executable) -> list[str]:
    source = os.pathsep.join(path for path in sys.path if path)
    return [
        *("env", f"PYTHONPATH={source}", python, "-s", "-B", "-P"),
        *("-m", "ironclaw.cli.main", "image", *arguments),
    ]


def _answer(argv: list[str]) -> dict[str, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_BUILD_S)
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    """The image, built from these sources by the command that people use."""
    with tempfile.TemporaryDirectory(prefix="ironclaw-image-") as name:
        Path(name).chmod(0o711)
        state = Path(name) / "state"
        digest = _answer(_command("build", "--state-dir", str(state), "--json"))["digest"]
        state.chmod(0o711)
        yield Built(state, digest, state / "rootfs" / digest.removeprefix("sha256:") / "tree")
        remove_tree(state)


def _walk(tree: Path) -> list[Path]:
    return [tree, *sorted(tree.rglob("*"))]


def _name(tree: Path, path: Path) -> str:
    return str(path.relative_to(tree))


def test_only_what_the_list_says_is_in_it(built: Built) -> None:
    """Every file there is; a new one has to be asked for here."""
    allowed = re.compile(
        r"sandbox|etc/(passwd|group|nsswitch\.conf|os-release|ssl/certs/ca-certificates\.crt)"
        r"|lib(64)?/(ld-linux[-a-z0-9_]*\.so\.[0-9]|[a-z0-9_]+-linux-gnu/lib(c|m|pthread)\.so\.[0-9])"
        r"|usr/lib/ironclaw/lib(apsw|msgspec_core)\.so"
        r"|usr/share/(doc/(base-files|ca-certificates|libc6)/copyright|ironclaw/parts\.json)"
    )

    files = [_name(built.tree, path) for path in _walk(built.tree) if not path.is_dir()]

    assert [name for name in files if allowed.fullmatch(name) is None] == []
    assert "sandbox" in files


def test_no_shell_interpreter_package_manager_or_source(built: Built) -> None:
    """Neither by name nor by being a program at all: two files may be executed."""
    banned = re.compile(
        r"(ba|da|z|k|c)?sh|busybox|toybox|python[0-9.]*|perl|lua|awk|mawk|node|ruby"
        r"|apt.*|dpkg.*|rpm|apk|pip[0-9]*|.*\.(py|pyc|pyi|sh|pl|js)"
    )
    paths = [path for path in _walk(built.tree) if path.is_file()]
    programs = {
        _name(built.tree, path)
        for path in paths
        if path.stat().st_mode & 0o111 and not path.name.startswith("ld-linux")
    }

    assert [_name(built.tree, path) for path in paths if banned.fullmatch(path.name)] == []
    assert programs == {"sandbox"}


def test_no_setuid_device_or_link_and_nothing_writable(built: Built) -> None:
    for path in _walk(built.tree):
        mode = path.lstat().st_mode
        assert stat.S_ISDIR(mode) or stat.S_ISREG(mode), path
        if stat.S_ISREG(mode):
            assert stat.S_IMODE(mode) & 0o7222 == 0, path
        elif path.name != "workspace":
            assert stat.S_IMODE(mode) & 0o6222 == 0, path
        assert "security.capability" not in os.listxattr(path), path


def test_no_secret_and_nothing_of_the_machine_it_was_built_on(built: Built) -> None:
    """No build path, no checkout, no home, no host name, no mirror, no private key."""
    words = {str(_ROOT), str(built.state), socket.gethostname(), str(Path.home()) + "/"}
    words |= {"/tmp/", "BEGIN PRIVATE KEY", "BEGIN OPENSSH", "deb http"}
    # Words that the libraries themselves hold: SQLite's list of places for temporary files, and
    # the examples in the standard library's own code.
    own = re.compile(rb"/tmp/(?!ironclaw|B|\.)")
    for path in _walk(built.tree):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.name.endswith((".so", ".6", ".0", ".2")) or path.name == "sandbox":
            content = own.sub(b"", content)
        found = [word for word in words if len(word) > 3 and word.encode() in content]
        assert found == [], (path.name, found)


def test_the_account_and_the_mount_points(built: Built) -> None:
    accounts = (built.tree / "etc/passwd").read_text()
    places = ("queue/in", "queue/out", "run/ironclaw", "workspace", "memory", "shared", "tmp")

    assert "nonroot:x:65532:65532:" in accounts
    assert "nonroot:x:65532:" in (built.tree / "etc/group").read_text()
    assert [name for name in places if not (built.tree / name).is_dir()] == []
    workspace = (built.tree / "workspace").stat()
    assert stat.S_IMODE(workspace.st_mode) == 0o700
    assert workspace.st_uid == (65532 if os.geteuid() == 0 else os.geteuid())


def test_the_config_says_how_to_start(built: Built) -> None:
    images = ImageStore(built.state / "images")
    manifest = oci.parse_manifest(images.read_document(built.digest))
    config = oci.parse_config(images.read_document(manifest.config.digest)).config

    assert config == oci.Process(
        user="65532:65532", env=("PATH=/",), entrypoint=("/sandbox",), working_dir="/workspace"
    )


def test_building_again_from_nothing_gives_the_same_digest(built: Built) -> None:
    row = _answer(_command("verify", "--rebuild", "--state-dir", str(built.state), "--json"))

    assert row["rebuilt"] == built.digest


def test_nothing_is_built_when_nothing_changed(built: Built) -> None:
    argv = _command("build", "--state-dir", str(built.state), "--json")

    started = time.monotonic()
    row = _answer(argv)

    assert row["digest"] == built.digest
    # The command's own start-up counts, too; a build takes many times as long.
    assert time.monotonic() - started < 5


def test_an_ordinary_user_builds_the_same_image(built: Built, ordinary_person: Person) -> None:
    """Without any privilege: ids of files are written into the archive, never set on disk."""
    state = ordinary_person.home / "state"
    tried = subprocess.run(
        ordinary_person.command(sys.executable, "-c", ""), capture_output=True, check=False
    )
    # A virtual environment can be in a closed home; the distribution's interpreter is not.
    python = sys.executable if tried.returncode == 0 else "/usr/bin/python3"

    command = _command("build", "--state-dir", str(state), "--json", python=python)
    row = _answer(ordinary_person.command(*command))

    assert row["digest"] == built.digest


def _spec(tree: Path, *, arguments: list[str], mounts: list[dict[str, object]]) -> str:
    names = ("pid", "ipc", "uts", "mount", "network")
    return json.dumps(
        {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 65532, "gid": 65532},
                "args": arguments,
                "env": ["PATH=/"],
                "cwd": "/",
                "noNewPrivileges": True,
                "capabilities": {},
            },
            "root": {"path": str(tree), "readonly": True},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, *mounts],
            "linux": {"namespaces": [{"type": name} for name in names]},
        }
    )


def _say_hello(built: Built, place: Path) -> Hello:
    """Start `/sandbox` in gVisor, wait for its hello, end it."""
    for name in ("in", "out", "run", "workspace", "bundle"):
        (place / name).mkdir()
        (place / name).chmod(0o777)
    bell = socket.socket(socket.AF_UNIX)
    bell.bind(str(place / "run/bell.sock"))
    (place / "run/bell.sock").chmod(0o777)
    bell.listen()
    bell.settimeout(30)
    binds: list[dict[str, object]] = [
        {"destination": to, "type": "bind", "source": str(place / name), "options": ["bind", mode]}
        for name, to, mode in (
            ("in", "/queue/in", "ro"),
            ("out", "/queue/out", "rw"),
            ("run", "/run/ironclaw", "ro"),
            ("workspace", "/workspace", "rw"),
        )
    ]
    spec = _spec(built.tree, arguments=["/sandbox"], mounts=binds)
    (place / "bundle/config.json").write_text(spec)
    base = ["runsc", "--root", str(place / "runsc"), "--network=none", "--platform=systrap"]
    base += ["--directfs=false", "--host-uds=open", "--ignore-cgroups"]
    if os.geteuid() != 0:
        base += ["--rootless"]
    name = f"ironclaw-image-{os.getpid()}"
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [*base, "run", "-bundle", str(place / "bundle"), name], stdout=log, stderr=log
        )
    try:
        connection, _ = bell.accept()
        connection.settimeout(30)
        reader = FrameReader()
        with connection:
            while True:
                data = connection.recv(65536)
                assert data, (place / "log").read_text()
                for body in reader.feed(data):
                    return decode_hello(body)
    except TimeoutError:
        pytest.fail((place / "log").read_text() or "no hello in time")
    finally:
        bell.close()
        subprocess.run([*base, "kill", name, "KILL"], capture_output=True, check=False, timeout=30)
        process.wait(30)
        delete = [*base, "delete", "-force", name]
        subprocess.run(delete, capture_output=True, check=False, timeout=30)


def test_the_sealed_program_says_hello_inside_gvisor(built: Built) -> None:
    """And what it sees of its walls is what the image and the launch promise."""
    with tempfile.TemporaryDirectory(prefix="ironclaw-hello-") as name:
        Path(name).chmod(0o755)
        hello = _say_hello(built, Path(name))

    assert hello.claimed is False
    assert hello.facts is not None
    assert hello.facts.uid == 65532
    assert hello.facts.root_writable is False
    assert hello.facts.no_new_privs is True
    # HOME is runsc's own doing: the account's directory, from /etc/passwd.
    assert set(hello.facts.environment) <= {"PATH", "HOME"}
    assert hello.facts.interfaces in {(), ("lo",)}


@pytest.mark.hostile
@pytest.mark.parametrize(
    "arguments", [["/sandbox", "-c", "print(6*7)"], ["/sandbox", "-m", "timeit"], ["/sandbox", "-"]]
)
def test_the_program_is_no_interpreter(built: Built, arguments: list[str]) -> None:
    """It takes no code from its command line, its input or its environment."""
    enter = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--root"]
    done = subprocess.run(
        [*enter, str(built.tree), *arguments],
        input=b"print(6*7)\n",
        capture_output=True,
        check=False,
        timeout=30,
        env={"PYTHONINSPECT": "1", "PYTHONPATH": "/tmp", "PYTHONSTARTUP": "/etc/passwd"},
    )

    assert b"42" not in done.stdout + done.stderr
    # It ended because the mounts of a box are not there: it ran as ever, whatever it was told.
    assert (done.returncode, b"a mount is not as it must be" in done.stderr) == (4, True)
