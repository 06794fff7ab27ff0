"""The nest's decisions: where the view may be, and which subordinate ids there are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox.nest import choose_place, free_range, require, subordinate
from ironclaw.sandbox.reaper import Crashes, back_off
from ironclaw.sandbox.slotdir import checked_name


def test_the_view_hides_nothing_that_is_needed() -> None:
    first = choose_place([Path("/var/lib/x")])
    second = choose_place([first / "state"])

    assert second != first


def test_no_place_at_all_is_an_error_with_a_way_out() -> None:
    with pytest.raises(HostError) as caught:
        choose_place([Path(name) / "x" for name in ("/mnt", "/media", "/srv", "/opt")])

    assert caught.value.hint


def test_outside_a_nest_nothing_is_mounted(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        require(tmp_path)

    assert caught.value.code is Code.HOST_UNSUITED
    assert "ironclaw up" in caught.value.hint


_ENTER = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from ironclaw.core.errors import HostError
from ironclaw.sandbox import nest
try:
    nest.enter(avoid=[])
except HostError as error:
    print(error.code, error.message, error.hint)
"""


def test_a_chroot_is_refused_with_its_own_hint() -> None:
    """The kernel makes no user namespace in one, and runsc would only say that it failed."""
    inside = ["chroot", "/mnt", sys.executable, "-c", _ENTER, json.dumps(sys.path)]
    into = ["unshare", "--user", "--map-root-user", "--mount", "--"]
    bind = ["sh", "-c", 'mount --rbind / /mnt && exec "$@"', "sh"]

    done = subprocess.run(
        [*into, *bind, *inside], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout.startswith("host_unsuited No box can get a user namespace"), done
    assert "chroot" in done.stdout


def test_the_widest_range_of_the_user_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("ann:100000:65536\nbob:1:2\n1001:200000:131072\nbroken\nann:x:y\n")

    assert subordinate(file, "ann", 1001) == (200000, 131072)
    assert subordinate(file, "ann", 7) == (100000, 65536)


@pytest.mark.parametrize("text", ["", "bob:100000:65536\n", "ann:100000:1000\n"])
def test_too_few_ids_say_how_to_give_more(text: str, tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text(text)

    with pytest.raises(HostError) as caught:
        subordinate(file, "ann", 1001)

    assert caught.value.code is Code.HOST_UNSUITED
    assert "usermod --add-subuids" in caught.value.hint
    assert "sudo" not in caught.value.hint


def test_the_range_that_is_proposed_is_nobody_elses(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("bob:100000:65536\neve:165536:65536\nbroken\nx:y:z\n")
    (tmp_path / "subgid").write_text("bob:300000:65536\n")

    with pytest.raises(HostError) as caught:
        subordinate(file, "ann", 1001)

    free = "365536-431071"
    assert f"`usermod --add-subuids {free} --add-subgids {free} ann`" in caught.value.hint
    assert free_range(tmp_path / "none") == "100000-165535"


def test_a_missing_file_is_the_same_as_no_ids(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        subordinate(tmp_path / "none", "ann", 1001)


def test_restarts_wait_longer_each_time_up_to_a_bound() -> None:
    waits = [back_off(crashes) for crashes in range(1, 20)]

    assert waits[:2] == [0.0, pytest.approx(0.1)]
    assert waits == sorted(waits)
    assert waits[-1] == 30.0


def test_a_core_that_lived_is_started_again_at_once() -> None:
    crashes = Crashes()

    assert [crashes.add(lived) for lived in (0.5, 2.5, 9.0, 0.5, 0.9, 600.0)] == [
        *(0.0, 0.0, 0.0, pytest.approx(0.1), pytest.approx(0.2), 0.0),
    ]


def test_a_core_that_keeps_crashing_at_once_is_given_up() -> None:
    crashes = Crashes()

    assert [crashes.add(lived) for lived in (0.5, 0.5, 1.5, 0.5, 0.5)][-1] is not None
    assert crashes.add(0.5) is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\n", "a\0", ".a", "-a", "a" * 200])
def test_names_are_one_safe_path_component(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        checked_name(name)
