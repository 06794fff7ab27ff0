"""What the model host cannot reach, and that it reaches everything else; without it, it would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.model_house import ask, hosting, provider

from ironclaw.models.host.out_of_reach import beside
from ironclaw.models.host.process import OUT_OF_REACH

_LOOK = """
import sys
from ironclaw.models.host.confine import confine
from ironclaw.models.host.out_of_reach import put_out_of_reach
confine()
put_out_of_reach(sys.argv[1].split())
for path in sys.argv[2:]:
    try:
        open(path).read()
        print("read")
    except PermissionError:
        print("no")
"""


def look(hidden: str, *paths: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, hidden, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_what_is_hidden_is_gone_by_every_way_and_the_rest_is_there(tmp_path: Path) -> None:
    state = tmp_path / "lib" / "state"
    (state / "keys").mkdir(parents=True)
    beside_it = tmp_path / "lib" / "other"
    link = tmp_path / "link"
    for path in (state / "keys" / "master", state / "store", beside_it):
        path.write_text("x")
    link.symlink_to(state)
    ways = (
        state / "keys" / "master",
        state / "store",
        link / "store",
        Path("/proc/self/root", *(state / "store").parts[1:]),
    )
    there = (beside_it, Path("/etc/passwd"), Path("/proc/self/status"), Path(sys.executable).parent)

    assert look(str(state), *ways, *there[:3]) == ["no"] * 4 + ["read"] * 3
    assert look("", *ways, *there[:3]) == ["read"] * 7, "the twin: nothing is hidden from it"


def test_two_hidden_directories_do_not_give_each_other_away(tmp_path: Path) -> None:
    for name in ("a/one", "a/two", "b"):
        (tmp_path / name).mkdir(parents=True)
    hidden = [str(tmp_path / "a" / "one"), str(tmp_path / "a" / "two")]

    allowed = set(beside(hidden))

    assert str(tmp_path / "b") in allowed
    assert not any(one.startswith(path) for one in hidden for path in allowed)


@pytest.mark.parametrize("is_hidden", [True, False])
async def test_a_host_reads_a_key_only_where_it_may(tmp_path: Path, *, is_hidden: bool) -> None:
    key = tmp_path / "state" / "key"
    key.parent.mkdir()
    key.write_text("sk-canary-0123456789abcdef")
    key.chmod(0o600)
    there = provider("openai", "http://127.0.0.1:9/v1", key=f"file:{key}")
    async with hosting(one=there) as host:
        host._hidden = (str(key.parent),) if is_hidden else ()
        _, end = await ask(host, "one")
        assert host._link is not None
        assert (OUT_OF_REACH in host._link.controls) is is_hidden

    words = "has no key that can be used" if is_hidden else "cannot be reached"
    assert words in getattr(end, "word", "")
