"""The keeper: one for each state directory, restarts its core, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Nested

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]
HERE = Path(__file__).parent
WAIT_S = 20.0


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in "ZX"


class House:
    """One state and runtime directory, driven as one kind of user."""

    def __init__(self, nested: Nested, name: str, rootfs: Path) -> None:
        self._nested = nested
        self.is_root = nested.person is None and os.geteuid() == 0
        _, self.state, self.runtime = nested.command(name=name)
        self.core = (
            *(nested.python, "-s", "-P", str(HERE / "box_core.py")),
            *(str(self.state), str(self.runtime), str(rootfs)),
        )

    def call(self, *words: str, **environment: str) -> Any:
        argv = [
            *("env", f"PYTHONPATH={':'.join(path for path in sys.path if path)}"),
            *(f"{name}={value}" for name, value in environment.items()),
            *(self._nested.python, "-s", "-P", str(HERE / "keeper_driver.py"), *words),
        ]
        person = self._nested.person
        argv = argv if person is None else person.command(*argv)
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def start(self, *core: str, **environment: str) -> Any:
        return self.call(
            *("start", str(self.state), str(self.runtime), "--", *(core or self.core)),
            **environment,
        )

    def stop(self) -> Any:
        return self.call("stop", str(self.runtime))

    def status(self) -> int | None:
        pid: int | None = self.call("status", str(self.runtime))["pid"]
        return pid

    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state / "core.json").read_text())
        return found


@pytest.fixture
def house(nested: Nested, probe_rootfs: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    made = House(nested, f"keeper-{abs(hash(request.node.name))}", probe_rootfs)
    yield made
    made.stop()


def groups_of(slot: str) -> list[Path]:
    return [path for path in Path("/sys/fs/cgroup").glob(f"**/{slot}") if path.is_dir()]


def test_stopping_leaves_no_process_mount_cgroup_or_bundle(house: House) -> None:
    """The box is still running when the keeper is told to stop: it goes as well."""
    keeper = house.start()["pid"]
    said = house.said()
    assert house.status() == keeper
    assert not any(is_gone(pid) for pid in (keeper, said["core"], *said["box"]))

    assert house.stop() == {"stopped": True}

    assert all(is_gone(pid) for pid in (keeper, said["core"], *said["box"]))
    assert house.status() is None
    assert groups_of(said["slot"]) == []
    assert sorted(path.name for path in house.runtime.iterdir()) == []
    assert str(house.state) not in Path("/proc/self/mountinfo").read_text()
    assert house.stop() == {"stopped": False}


def test_mounts_are_not_seen_outside(house: House) -> None:
    house.start()
    mounts = Path("/proc/self/mountinfo").read_text()

    assert "ironclaw-slot" not in mounts
    assert "ironclaw-out" not in mounts
    assert list(Path(house.said()["view"]).glob("slots")) == []


def test_a_killed_core_is_started_again_and_finds_its_box(house: House) -> None:
    house.start()
    first = house.said()

    os.kill(first["core"], signal.SIGKILL)
    wait_for(lambda: house.said()["core"] != first["core"], "a new core")

    second = house.said()
    assert second["adopted"] is True
    assert second["box"] == first["box"]
    assert second["slot"] == first["slot"]


def test_a_killed_keeper_takes_the_core_along_and_the_next_one_clears_up(house: House) -> None:
    keeper = house.start()["pid"]
    first = house.said()

    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: is_gone(first["core"]), "the core's end")
    house.start()

    second = house.said()
    assert second["adopted"] is False
    assert all(is_gone(pid) for pid in first["box"])
    assert groups_of(first["slot"]) == []


def test_a_second_daemon_on_the_same_state_is_refused(house: House) -> None:
    keeper = house.start()["pid"]

    refused = house.start()

    assert refused["code"] == "already_running"
    assert "ironclaw status" in refused["hint"]
    assert house.status() == keeper


def test_a_core_that_refuses_its_configuration_is_not_started_again(house: House) -> None:
    count = house.state / "count"
    refused = house.start("sh", "-c", f"echo x >> {count}; echo no such setting >&2; exit 7")

    assert refused["code"] == "config_invalid"
    assert "no such setting" in refused["detail"]
    assert count.read_text() == "x\n"
    assert house.status() is None


def test_a_core_that_always_crashes_is_given_up(house: House) -> None:
    refused = house.start("sh", "-c", "echo crashing >&2; kill -9 $$")

    assert refused["code"] == "bug"
    assert refused["detail"].splitlines().count("crashing") == 3
    assert house.status() is None


def test_orphans_are_reaped_at_once(house: House) -> None:
    """A grandchild that ends is not left as a zombie under the keeper."""
    script = 'sh -c "sleep 0.2 & echo \\$! > $0"; echo ready >&$IRONCLAW_READY_FD; sleep 60'
    pid_file = house.state / "orphan"
    house.start("bash", "-c", script, str(pid_file))

    orphan = int(pid_file.read_text())
    wait_for(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan to be reaped")


def test_a_missing_newuidmap_is_said_with_the_package(house: House) -> None:
    """Root needs none; an ordinary user is told what to install."""
    said = house.start(PATH=str(house.state / "empty"))

    if house.is_root:
        # Its core then misses runsc, which is a failure of its own.
        assert "RUNTIME_MISSING" in said["detail"] or "not installed" in said["detail"]
    else:
        assert said["code"] == "host_unsuited"
        assert "apt-get install uidmap" in said["hint"]
