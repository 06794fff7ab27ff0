"""Changes of an agent reach its running boxes: real ones, once as root and once as anybody."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.house import Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

DRIVER = Path(__file__).parent / "reach_core.py"


@pytest.fixture(scope="module")
def seen(houses_of: Houses, probe_rootfs: Path) -> dict[str, Any]:
    """What `reach_core.py` noted, part by part."""
    with houses_of.closed() as house:
        docs = house.place / "docs"
        for directory in (house.state, house.runtime, docs):
            directory.mkdir(mode=0o700)
        (docs / "note").write_text("for the agent")
        # Whose modes refuse nothing: what is refused is so because the mount is read-only.
        docs.chmod(0o777)
        (docs / "note").chmod(0o666)
        if house.person is not None:
            for path in (house.state, house.runtime, docs, docs / "note"):
                os.chown(path, house.person.uid, house.person.gid)
        results = house.state / "results.json"
        argv = house.as_user(
            *(house.python, "-s", "-P", "-m", "ironclaw.sandbox.keeper"),
            *("--state-dir", str(house.state), "--runtime-dir", str(house.runtime), "--"),
            *(house.python, "-s", "-P", str(DRIVER), str(house.state), str(house.runtime)),
            *(str(house.image), str(probe_rootfs), str(docs), str(results)),
        )
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=100, check=False, cwd="/"
        )
        assert results.exists(), done.stderr
        found: dict[str, Any] = json.loads(results.read_text())
        assert (docs / "note").read_text() == "for the agent"
        assert [path.name for path in docs.iterdir()] == ["note"]
    return found


def part(seen: dict[str, Any], name: str) -> dict[str, Any]:
    """The result of one part; fails with the part's own traceback."""
    assert seen[name]["error"] == "", seen[name]["error"]
    found: dict[str, Any] = seen[name]["value"]
    return found


def test_a_persona_and_tools_reach_a_running_box_that_goes_on_remembering(seen: Any) -> None:
    found = part(seen, "setup")
    assert "tools: clock, write_file" in found["told"]
    assert "You are a reached one." in found["told"]
    assert 'the first was "one"' in found["again"]
    assert found["same"]
    assert found["s"] < 1


def test_the_next_model_call_is_the_new_model_s(seen: Any) -> None:
    found = part(seen, "model")
    assert found["code"] != ""
    assert 'heard "four"' in found["right"]


def test_the_socket_of_host_tools_comes_and_goes(seen: Any) -> None:
    found = part(seen, "host_tool")
    assert "the host did my_rights" in found["given"]
    assert "the host did" not in found["before"] + found["taken"]
    assert "The tool failed" in found["taken"]


def test_a_revoked_tool_is_refused_in_the_middle_of_a_turn(seen: Any) -> None:
    """Within a second, and not one use is done after that."""
    found = part(seen, "revoked")
    assert found["s"] < 1
    assert found["end"] == found["reached"]
    assert found["said"].count("The tool returned") == found["end"]
    assert found["said"].count("The tool failed") == 14 - found["end"] > 0


def test_new_limits_replace_a_box_in_the_middle_of_a_turn(seen: Any) -> None:
    found = part(seen, "limits")
    assert found["said"] == "done after all"
    assert found["fresh"]
    assert found["memory"] == 160 * 1024 * 1024
    assert '"one"' in found["recall"]


def test_a_shared_directory_comes_and_goes(seen: Any) -> None:
    found = part(seen, "mounts")
    assert "/shared/docs" not in found["before"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(found["shown"]["/shared/docs"].split(","))
    assert found["gone"] == 0
    assert "/shared/docs" not in found["after"]
    assert found["points"] == []
    assert all("earlier message" in said for said in found["said"])


def test_a_box_reads_a_shared_directory_and_changes_nothing_of_it(seen: Any) -> None:
    found = part(seen, "probed")
    tried = {name: found["attempts"][name] for name in found["attempts"] if "docs" in name}
    assert tried.pop("read_docs") == "done"
    assert set(tried.values()) == {"EROFS"}
    assert "/shared/docs ro" in found["gofer"]


def test_nothing_is_left_of_a_forgotten_conversation(seen: Any) -> None:
    assert part(seen, "forgotten") == {"boxes": 0, "workspaces": 0}
    assert seen["failed"] == []
