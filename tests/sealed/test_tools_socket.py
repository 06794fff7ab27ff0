"""`tools.sock` in real boxes: its presence is the right, and it goes from a running one at once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.house import Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(180)]

SOON_S = 1.0
MAY_NOT = ["this agent may not use my_rights now", True]


@pytest.fixture(scope="module")
def found(houses_of: Houses) -> Any:
    """What the driver saw of one box, from its launch to its end."""
    with houses_of.closed() as house:
        for directory in (house.state, house.runtime):
            made = house.as_user("mkdir", "-m", "700", str(directory))
            subprocess.run(made, check=True, timeout=20)
        results = house.state / "results.json"
        directories = (str(house.state), str(house.runtime))
        driver = Path(__file__).with_name("tools_driver.py")
        argv = house.as_user(
            *(house.python, "-s", "-P", "-m", "ironclaw.sandbox.keeper"),
            *("--state-dir", directories[0], "--runtime-dir", directories[1], "--"),
            *(house.python, "-s", "-P", str(driver), *directories, str(house.image), str(results)),
        )
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=150, check=False, cwd="/"
        )
        assert results.exists(), done.stderr
        said = json.loads(results.read_text())
        assert said["error"] == "", said["error"] + done.stderr
        return said["value"]


def test_without_the_socket_a_tool_that_the_setup_names_is_refused(found: Any) -> None:
    assert found["before"] == MAY_NOT


def test_with_the_socket_it_is_used_in_the_running_box(found: Any) -> None:
    assert found["use"] == 'my_rights {"a": 1}'
    assert found["offered"] == ["you may ask", False]


def test_once_taken_away_it_is_gone_inside_the_running_box_within_a_second(found: Any) -> None:
    assert found["withdrawn"] == MAY_NOT
    assert found["withdrawn_s"] < SOON_S


def test_a_call_that_is_open_meanwhile_ends_as_refused(found: Any) -> None:
    assert found["within"] == MAY_NOT
    assert found["within_s"] < SOON_S


def test_another_airlock_offers_it_anew(found: Any) -> None:
    assert found["replaced"] == ["again", False]
