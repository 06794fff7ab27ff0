"""Two sessions of one agent, and two agents: neither has anything of the other's."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import Box, House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

TOOLS = ("read_file", "write_file", "list_files")
COMMON = {"/", "/memory", "/shared"}
"""What two boxes of one agent have in common: the image, and what is the agent's."""


class Talk(NamedTuple):
    """A session with a box, its agent, what was said in it, and the name of its file."""

    agent: str
    chat: str
    session: str
    spoken: str
    file: str
    """Another secret than `spoken`: the tests say it to the other sessions."""
    box: Box


class Three(NamedTuple):
    """Two sessions of one agent and one of another."""

    one: Talk
    sibling: Talk
    stranger: Talk

    @property
    def pairs(self) -> list[tuple[Talk, Talk]]:
        return [(a, b) for a in self for b in self if a is not b]


@pytest.fixture(scope="module")
def three(house: House) -> Iterator[Three]:
    """All three at the same time, each with a file and a few messages."""
    names = [f"apart-{secrets.token_hex(4)}" for _ in range(2)]
    with house.api() as api:
        for name in names:
            api.make_agent(name, tools=TOOLS)
    yield Three(
        _talk(house, names[0], "first"),
        _talk(house, names[0], "second"),
        _talk(house, names[1], "first"),
    )
    with house.api() as api:
        for name in names:
            api.call("DELETE", f"/v1/agents/{name}")


def _talk(house: House, agent: str, chat: str) -> Talk:
    spoken, file = f"spoken-{secrets.token_hex(8)}", f"file-{secrets.token_hex(8)}"
    arguments = json.dumps({"path": file, "text": f"my own {spoken}"})
    sent = house.ask(agent, f"I say {spoken}\n!tool write_file {arguments}", chat=chat)
    assert "The tool returned" in sent["reply"]
    return Talk(agent, chat, sent["session"], spoken, file, house.box_of(sent["session"]))


def _uses(house: House, talk: Talk, tool: str, **arguments: str) -> str:
    reply: str = house.ask(talk.agent, f"!tool {tool} {json.dumps(arguments)}", chat=talk.chat)[
        "reply"
    ]
    return reply


def test_each_is_in_a_box_of_its_own(three: Three) -> None:
    assert len({talk.session for talk in three}) == 3
    assert len({talk.box.slot for talk in three}) == 3
    assert len({talk.box.sentry for talk in three}) == 3


def test_no_session_hears_what_another_was_told(house: House, three: Three) -> None:
    """`!recall` lists every former message that stood in the model's request."""
    for talk, other in three.pairs:
        heard = house.ask(talk.agent, "!recall", chat=talk.chat)["reply"]
        assert talk.spoken in heard
        assert other.spoken not in heard


def test_no_session_sees_the_files_of_another(house: House, three: Three) -> None:
    for talk, other in three.pairs:
        assert "my own" in _uses(house, talk, "read_file", path=talk.file)
        # The tool's own words, not those of the conversation that the reply quotes as well.
        listed = _uses(house, talk, "list_files").split("I remember")[0]
        assert talk.file in listed
        assert other.file not in listed
        read = _uses(house, talk, "read_file", path=other.file).split("I remember")[0]
        assert "The tool failed" in read
        assert "my own" not in read


@pytest.mark.parametrize(
    "path",
    [
        "/run/ironclaw/key",
        "../run/ironclaw/bell.sock",
        "/queue/in/0000000000000001.seg",
        "../queue/out",
        "/proc/self/environ",
        "../workspace/../../memory",
    ],
)
def test_the_tools_do_not_leave_the_workspace(house: House, three: Three, path: str) -> None:
    for tool in ("read_file", "list_files"):
        assert "The tool failed" in _uses(house, three.one, tool, path=path)


def test_no_mount_of_one_box_is_of_another(three: Three) -> None:
    """In the specs, and in what the kernel says of the gofers, which open everything."""
    for talk, other in three.pairs:
        mine, theirs = _sources(talk.box), _sources(other.box)
        shared = {place for place in mine if mine[place] == theirs.get(place)}
        assert shared == (COMMON if talk.agent == other.agent else {"/"})
        mounted = Path(f"/proc/{talk.box.gofer}/mountinfo").read_text()
        assert other.box.slot not in mounted
        assert _inodes(talk.box.gofer).isdisjoint(_inodes(other.box.gofer))


def _sources(box: Box) -> dict[str, str]:
    """Where on the host each place of the box is; memory-only places have no such thing."""
    binds = [mount for mount in box.spec["mounts"] if mount.get("type") == "bind"]
    found = {mount["destination"]: mount["source"] for mount in binds}
    return found | {"/": box.spec["root"]["path"]}


def _inodes(gofer: int) -> set[tuple[int, int]]:
    """What the box's own queue, sockets and workspace are, as the gofer has them."""
    root = Path(f"/proc/{gofer}/root")
    places = [root / name for name in ("queue/in", "queue/out", "run/ironclaw", "workspace")]
    return {(info.st_dev, info.st_ino) for info in map(os.stat, places)}


def test_queues_are_sealed_with_different_keys(house: House, three: Three) -> None:
    """No segment of one session opens with what another has: not one page is alike."""
    pages: list[str] = []
    for talk in three:
        queue = house.view / "slots" / talk.box.slot / "in"
        script = f"cd {queue} && cat *.seg | od -An -v -tx1 -w32"
        pages.append(house.in_nest("sh", "-c", script))
    for page in pages:
        others = {line for other in pages if other is not page for line in other.splitlines()}
        assert page.splitlines()
        assert others.isdisjoint(page.splitlines())


def test_each_agent_has_host_ids_of_its_own(house: House, three: Three) -> None:
    """For root; an ordinary user has one range of ids, and every receipt says so."""
    with house.api() as api:
        weaker = api.get(f"/v1/sessions/{three.one.session}/receipt").body["weaker"]
    told = "agents share one range of host ids" in weaker
    ids = {talk.session: _first_host_id(talk.box.gofer) for talk in three}
    assert ids[three.one.session] == ids[three.sibling.session]
    assert (ids[three.one.session] == ids[three.stranger.session]) is told
    assert told is not house.is_root
    assert 0 not in ids.values()


def _first_host_id(pid: int) -> int:
    return int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
