"""The tools: what they do, and that nothing a model writes leads out of the workspace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_agent.tools.clock import Clock
from ironclaw_agent.tools.edit import EditFile
from ironclaw_agent.tools.files import ListFiles, ReadFile, WriteFile
from ironclaw_agent.tools.host import HostTools
from ironclaw_agent.tools.memory import MemoryList, MemoryRead, MemorySearch, MemoryWrite
from ironclaw_agent.tools.search import SearchFiles
from ironclaw_agent.tools.specs import SPECS
from ironclaw_agent.tools.table import MAX_CALLS, MAX_RESULT_CHARS, Toolbox
from ironclaw_agent.tools.todo import Todo
from ironclaw_contract.entries import Called

ALL = frozenset(spec.name for spec in SPECS)
PLACE: dict[str, Any] = {"turn": "msg_1", "step": 0, "heard": ()}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    inside = tmp_path / "workspace"
    inside.mkdir()
    return inside


@pytest.fixture
def box(workspace: Path) -> Iterator[Toolbox]:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    shared = str(workspace.parent / "shared")
    yield Toolbox(str(workspace), HostTools(str(workspace / "none.sock")), memory="", shared=shared)
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def call(box: Toolbox, name: str, **arguments: object) -> tuple[str, bool]:
    return raw(box, name, msgspec.json.encode(arguments).decode())


def raw(box: Toolbox, name: str, arguments: str) -> tuple[str, bool]:
    (result,) = box.run_all(
        [Called(call="c", name=name, arguments=arguments)], allowed=ALL, **PLACE
    )
    return result.text, result.is_error


def test_what_was_written_is_read_and_listed(box: Toolbox, workspace: Path):
    assert call(box, "write_file", path="a/b.txt", text="hällo") == (
        "wrote a/b.txt, now 6 bytes",
        False,
    )
    assert call(box, "write_file", path="/workspace/a/b.txt", text="!", append=True)[1] is False
    assert call(box, "read_file", path="./a//b.txt") == ("hällo!", False)
    assert call(box, "list_files") == ("a/", False)
    assert call(box, "list_files", path="a") == ("b.txt  7 bytes", False)
    assert (workspace / "a").stat().st_mode & 0o777 == 0o700


def test_a_long_file_is_read_in_parts(box: Toolbox, workspace: Path):
    (workspace / "long").write_text("x" * 40_000)
    text, _ = call(box, "read_file", path="long")
    assert text.endswith("read on with offset 32768]")
    text, _ = call(box, "read_file", path="long", offset=32768)
    assert text == "x" * (40_000 - 32768)


def test_bytes_that_are_no_text_are_shown_and_not_raised(box: Toolbox, workspace: Path):
    (workspace / "binary").write_bytes(bytes(range(256)))
    assert call(box, "read_file", path="binary")[1] is False
    (workspace / os.fsdecode(b"na\xffme")).write_text("")
    assert "na\ufffdme" in call(box, "list_files")[0]


def test_writing_replaces_all_of_a_file_or_nothing(box: Toolbox, workspace: Path):
    call(box, "write_file", path="f", text="long text")
    call(box, "write_file", path="f", text="new")
    assert (workspace / "f").read_text() == "new"
    assert sorted(path.name for path in workspace.iterdir()) == ["f"]


def test_the_clock_tells_the_time(box: Toolbox):
    text, is_error = call(box, "clock")
    assert text[4] == "-"
    assert not is_error


@pytest.mark.hostile
@pytest.mark.parametrize(
    "name", ["read_file", "write_file", "list_files", "edit_file", "search_files"]
)
@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret", "a/../../outside", "/etc/passwd", "/workspace/../outside/secret",
        "link", "link/secret", "dirlink/secret", "file/x", "..", "\0", "a\nb", "/workspace2/x",
        "x" * 300, "/".join("a" * 40), "x" * 5000, "fifo/x", "loop", "loop/x",
    ],
)  # fmt: skip
def test_no_path_leads_out_through_dots_links_or_odd_names(
    box: Toolbox, workspace: Path, name: str, path: str
):
    (workspace / "link").symlink_to(workspace.parent / "outside/secret")
    (workspace / "dirlink").symlink_to(workspace.parent / "outside")
    (workspace / "loop").symlink_to("loop")
    (workspace / "file").write_text("plain")
    os.mkfifo(workspace / "fifo")
    more = {
        "write_file": {"text": "changed"},
        "edit_file": {"old": "secret", "new": "changed"},
        "search_files": {"text": "e"},
    }
    arguments = {"path": path, **more.get(name, {})}
    text, is_error = call(box, name, **arguments)
    assert is_error
    assert "secret" not in text.replace(path, "")
    assert (workspace.parent / "outside/secret").read_text() == "secret"
    assert [path.name for path in (workspace.parent / "outside").iterdir()] == ["secret"]


@pytest.mark.hostile
@pytest.mark.parametrize("name", ["read_file", "write_file"])
@pytest.mark.parametrize("path", ["fifo", "directory", "", "/workspace", "."])
def test_what_is_no_plain_file_is_refused_at_once(
    box: Toolbox, workspace: Path, name: str, path: str
):
    os.mkfifo(workspace / "fifo")
    (workspace / "directory").mkdir()
    arguments = {"path": path, **({"text": "x"} if name == "write_file" else {})}
    assert call(box, name, **arguments)[1]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "arguments",
    [
        "", "not json", "[]", "null", '{"path":1}', '{"path":"a","extra":1}', '{"path":"a"} x',
        "{}",
        "[" * 100_000, '{"path":' * 50_000, '{"path":"\\ud800"}', '{"path":"a","offset":-1}',
        '{"path":"a","offset":1e99}', '{"path":"a","offset":99999999999999999999999}',
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_answered_and_not_raised(box: Toolbox, arguments: str):
    text, is_error = raw(box, "read_file", arguments)
    assert is_error
    assert len(text) < 500


@given(arguments=st.text(max_size=200))
@pytest.mark.hostile
def test_no_arguments_whatever_break_a_tool(
    tmp_path_factory: pytest.TempPathFactory, arguments: str
):
    place = str(tmp_path_factory.getbasetemp())
    box = Toolbox(place, HostTools("none.sock"), memory=place, shared=place)
    for name in ALL:
        raw(box, name, arguments)


def test_a_tool_that_is_unknown_or_not_allowed_does_not_exist(box: Toolbox):
    for name in ("rocket", "clock"):
        (result,) = box.run_all(
            [Called(call="c", name=name, arguments="{}")],
            allowed=frozenset({"rocket", "read_file"}),
            **PLACE,
        )
        assert result.is_error
        assert result.text == "there is no tool of that name; the tools are: read_file"


def test_more_calls_than_one_answer_may_hold_are_not_run(box: Toolbox, workspace: Path):
    calls = [
        Called(call=f"c{n}", name="write_file", arguments=f'{{"path":"f{n}","text":""}}')
        for n in range(MAX_CALLS + 4)
    ]
    results = box.run_all(calls, allowed=ALL, **PLACE)
    assert [result.call for result in results] == [each.call for each in calls]
    assert [result.is_error for result in results].count(True) == 4
    assert len(list(workspace.iterdir())) == MAX_CALLS


def test_results_together_stay_under_their_limit(box: Toolbox, workspace: Path):
    (workspace / "big").write_text("é" * 100_000)
    calls = [Called(call=f"c{n}", name="read_file", arguments='{"path":"big"}') for n in range(16)]
    texts = [result.text for result in box.run_all(calls, allowed=ALL, **PLACE)]
    assert max(map(len, texts)) <= MAX_RESULT_CHARS + 100
    assert sum(len(text.encode()) for text in texts) < 700_000


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read_file", ReadFile),
        ("write_file", WriteFile),
        ("list_files", ListFiles),
        ("clock", Clock),
        ("edit_file", EditFile),
        ("search_files", SearchFiles),
        ("todo", Todo),
        ("memory_list", MemoryList),
        ("memory_read", MemoryRead),
        ("memory_search", MemorySearch),
        ("memory_write", MemoryWrite),
    ],
)
def test_the_model_is_told_exactly_the_arguments_that_are_accepted(
    box: Toolbox, name: str, arguments: type[msgspec.Struct]
):
    told = msgspec.json.decode(box.specs[name].parameters)
    (real,) = msgspec.json.schema_components([arguments])[1].values()
    assert told["properties"].keys() == real["properties"].keys()
    bounds = ("type", "minLength", "maxLength", "maxItems", "items")
    for field, schema in told["properties"].items():
        asked = real["properties"][field]
        assert {key: schema.get(key) for key in bounds} == {key: asked.get(key) for key in bounds}
    assert told.get("required", []) == real["required"]
    assert told["additionalProperties"] is real["additionalProperties"] is False
