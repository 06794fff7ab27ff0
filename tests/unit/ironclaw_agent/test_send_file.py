"""`send_file`: parts first, then words; nothing but plain files of the workspace; bounds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.unit.ironclaw_agent.agent_host import message, setup

from ironclaw_agent.tools.errors import ToolError
from ironclaw_agent.tools.host import HostTools
from ironclaw_agent.tools.send_file import SendFile
from ironclaw_agent.tools.specs import SEND_FILE
from ironclaw_agent.tools.table import Toolbox
from ironclaw_contract.entries import Answered, Called, Returned
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_FILES, MAX_PART_BYTES
from ironclaw_contract.records import Part, Step
from ironclaw_contract.rpc import Generated, Stop

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.ironclaw_agent.agent_host import Host

LONG = bytes(range(256)) * 4096 + b"end"


class Told(HostTools):
    """A host that keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__("none.sock")
        self.uses: list[tuple[str, Any]] = []
        self.refuses = ""

    def use(self, tool: str, arguments: str) -> str:
        self.uses.append((tool, msgspec.json.decode(arguments)))
        if self.refuses:
            raise ToolError(self.refuses)
        return "sent: it is on its way"


class Box:
    def __init__(self, root: Path) -> None:
        self.host = Told()
        self.published: list[Part] = []
        self.takes = True
        self.toolbox = Toolbox(str(root), self.host, memory="", shared=str(root / "shared"))
        self.toolbox.publish = self._publish

    def _publish(self, part: Part) -> bool:
        self.published.append(part)
        return self.takes

    def run(
        self,
        *arguments: dict[str, object],
        allowed: tuple[str, ...] = ("send_file",),
        step: int = 0,
    ) -> list[Returned]:
        calls = [
            Called(call="c", name="send_file", arguments=msgspec.json.encode(one).decode())
            for one in arguments
        ]
        return self.toolbox.run_all(
            calls, allowed=frozenset(allowed), turn="msg_1", step=step, heard=()
        )


@pytest.fixture
def box(tmp_path: Path) -> Box:
    (tmp_path / "a.txt").write_bytes(LONG)
    (tmp_path / "empty").touch()
    return Box(tmp_path)


def test_its_arguments_are_what_the_model_is_told():
    schema = msgspec.json.schema(SendFile)["$defs"]["SendFile"]
    told = msgspec.json.decode(SEND_FILE.parameters)
    assert set(told["properties"]) == set(schema["properties"])
    assert told["required"] == schema["required"]
    assert told["additionalProperties"] is schema["additionalProperties"] is False


def test_parts_are_published_and_words_take_the_file_along(box: Box):
    (result,) = box.run({"path": "a.txt", "caption": "here"})
    assert (result.is_error, result.text) == (False, f"sent a.txt ({len(LONG)} bytes) to the chat")
    assert b"".join(part.data for part in box.published) == LONG
    assert [part.index for part in box.published] == [0, 1, 2]
    whole = box.published[-1].whole
    assert whole is not None
    assert (whole.name, whole.size) == ("a.txt", len(LONG))
    (say,) = box.toolbox.take_says()
    assert (say.text, say.reply_to, say.files) == ("here", "msg_1", (whole.id,))
    assert box.toolbox.take_says() == ()


def test_the_same_step_gives_the_same_ids_again_and_two_calls_two(box: Box):
    box.run({"path": "a.txt"}, {"path": "a.txt"})
    first = {part.file for part in box.published}
    assert len(first) == 2
    box.published.clear()
    box.run({"path": "a.txt"}, {"path": "a.txt"})
    assert {part.file for part in box.published} == first
    box.published.clear()
    box.run({"path": "a.txt"}, step=1)
    assert not {part.file for part in box.published} & first


def test_a_file_without_bytes_is_one_part(box: Box):
    box.run({"path": "empty"})
    ((part, size),) = [(part.data, part.whole and part.whole.size) for part in box.published]
    assert (part, size) == (b"", 0)


@pytest.mark.parametrize(
    "path", ["../a.txt", "/etc/passwd", "link", "pipe", ".", "none", "/shared/x", "a\0b"]
)
def test_only_plain_files_of_the_workspace_are_sent(box: Box, tmp_path: Path, path: str):
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe")
    (result,) = box.run({"path": path})
    assert result.is_error
    assert box.published == []
    assert box.toolbox.take_says() == ()


def test_large_files_and_many_of_them_are_refused(box: Box, tmp_path: Path):
    with (tmp_path / "large").open("wb") as large:
        large.truncate(MAX_FILE_BYTES + 1)
    with (tmp_path / "half").open("wb") as half:
        half.truncate(MAX_FILE_BYTES)
    assert box.run({"path": "large"})[0].is_error
    results = box.run(*[{"path": "empty"}] * (MAX_FILES + 1))
    assert [one.is_error for one in results] == [False] * MAX_FILES + [True]
    results = box.run(*[{"path": "half"}] * 2, {"path": "a.txt"})
    assert [one.is_error for one in results] == [False, False, True]


def test_what_the_host_does_not_take_is_an_error_and_no_words(box: Box):
    box.takes = False
    (result,) = box.run({"path": "a.txt"})
    assert result.is_error
    assert "does not take" in result.text
    assert box.toolbox.take_says() == ()


def test_to_a_destination_the_host_sends_it(box: Box):
    arguments: dict[str, object] = {"path": "a.txt", "caption": "look", "destination": "team"}
    (refused,) = box.run(arguments)
    assert refused.is_error
    assert "takes the tool send_message" in refused.text
    assert box.published == []
    (sent,) = box.run(arguments, allowed=("send_file", "send_message"))
    assert (sent.is_error, sent.text) == (
        False,
        f"a.txt ({len(LONG)} bytes): sent: it is on its way",
    )
    file = box.published[0].file
    assert box.host.uses == [
        ("send_message", {"destination": "team", "text": "look", "files": [file]})
    ]
    assert box.toolbox.take_says() == ()
    box.host.refuses = "forbidden: you have no destination of that name"
    (result,) = box.run(arguments, allowed=("send_file", "send_message"))
    assert (result.is_error, result.text) == (True, box.host.refuses)


def test_the_parts_are_in_the_queue_before_the_words(host: Host):
    (host.root / "workspace/a.txt").write_bytes(LONG)
    host.hello()
    host.claim()
    host.publish(setup(tools=("send_file",)), message(1))
    ask = host.ask()
    call = Called(call="c1", name="send_file", arguments='{"path": "a.txt", "caption": "here"}')
    host.tell(Generated(call=ask.call, entries=(call,), stop=Stop.TOOL))
    got = [host.outbound() for _ in range(4)]
    assert b"".join(part.data for part in got[:3] if isinstance(part, Part)) == LONG
    step = got[3]
    assert isinstance(step, Step)
    assert [(say.text, say.files) for say in step.says] == [("here", (got[0].file,))]
    host.tell(Generated(call=host.ask().call, entries=(Answered(text="done"),), stop=Stop.END))
    assert max(len(part.data) for part in got[:3]) == MAX_PART_BYTES
