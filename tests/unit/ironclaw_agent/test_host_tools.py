"""The host's tools from inside: one frame out, one back, and words for the model when it fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.ironclaw_agent.agent_host import Host, message, setup

from ironclaw_agent.tools.host import SPECS, HostTools
from ironclaw_agent.tools.table import Toolbox
from ironclaw_contract.entries import Answered, Called, Returned
from ironclaw_contract.frames import FrameReader, decode_use, pack
from ironclaw_contract.limits import MAX_ARGUMENTS_CHARS, MAX_TOOL_FRAME_BYTES, MAX_USED_CHARS
from ironclaw_contract.records import Step
from ironclaw_contract.rpc import Generated, Stop, Use, Used

HOST_TOOLS = frozenset(spec.name for spec in SPECS)
Answer = Callable[[Use], bytes | None]


def frame(used: Used) -> bytes:
    return pack(used, limit=MAX_TOOL_FRAME_BYTES)


def answered(use: Use) -> bytes:
    return frame(Used(call=use.call, text="done"))


class Server:
    """The airlock's side of `tools.sock`: one answer for each connection, in order."""

    def __init__(self, path: Path, *answers: Answer) -> None:
        self.uses: list[Use] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(4)
        self._listener.settimeout(10)
        self._thread = threading.Thread(target=self._serve, args=(answers,))
        self._thread.start()

    def _serve(self, answers: tuple[Answer, ...]) -> None:
        for answer in answers:
            connection, _ = self._listener.accept()
            connection.settimeout(10)
            frames = FrameReader(limit=MAX_TOOL_FRAME_BYTES)
            with connection:
                use = None
                while use is None:
                    for body in frames.feed(connection.recv(65536)):
                        use = decode_use(body)
                self.uses.append(use)
                if (data := answer(use)) is not None:
                    connection.sendall(data)

    def end(self) -> None:
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*answers: Answer) -> Server:
        servers.append(Server(tmp_path / "tools.sock", *answers))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


@pytest.fixture
def box(tmp_path: Path) -> Toolbox:
    return Toolbox(str(tmp_path), HostTools(str(tmp_path / "tools.sock")), memory="", shared="")


def run(box: Toolbox, *calls: tuple[str, str], step: int = 0, turn: str = "msg_1") -> list[Any]:
    made = [
        Called(call=f"c{n}", name=name, arguments=arguments)
        for n, (name, arguments) in enumerate(calls)
    ]
    results = box.run_all(made, allowed=HOST_TOOLS, turn=turn, step=step, heard=())
    assert [each.call for each in results] == [each.call for each in made]
    return [(each.text, each.is_error) for each in results]


def test_the_host_gets_what_the_model_wrote_and_the_model_what_the_host_said(
    box: Toolbox, serve: Callable[..., Server]
):
    server = serve(answered)
    assert run(box, ("request_change", '{"not": even JSON'), turn="msg_7") == [("done", False)]
    (use,) = server.uses
    assert (use.tool, use.arguments, use.turn) == ("request_change", '{"not": even JSON', "msg_7")


def test_a_refusal_is_an_error_in_the_hosts_words(box: Toolbox, serve: Callable[..., Server]):
    serve(lambda use: frame(Used(call=use.call, text="denied before", is_error=True)))
    assert run(box, ("request_change", "{}")) == [("denied before", True)]


def test_without_the_socket_the_model_is_told_that_it_may_not(box: Toolbox):
    assert run(box, ("my_rights", "{}")) == [("this agent may not use my_rights now", True)]


def test_a_lost_connection_is_tried_once_more_with_the_same_key(
    box: Toolbox, serve: Callable[..., Server]
):
    server = serve(lambda _use: None, answered)
    assert run(box, ("my_rights", "{}")) == [("done", False)]
    first, again = server.uses
    assert (first.key, first.arguments) == (again.key, again.arguments)
    assert first.call != again.call


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"\x00\x00\x00\x02\xc1\xc1",
        b"\xff\xff\xff\xff",
        (MAX_TOOL_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x01",
    ],
)
def test_an_answer_that_is_none_is_given_up_after_the_second_time(
    box: Toolbox, serve: Callable[..., Server], nonsense: bytes
):
    serve(lambda _use: nonsense, lambda _use: nonsense)
    ((text, is_error),) = run(box, ("my_rights", "{}"))
    assert is_error
    assert "could not be reached" in text


def test_the_right_that_goes_while_the_call_is_open_is_one_that_the_agent_has_not(
    box: Toolbox, serve: Callable[..., Server], tmp_path: Path
):
    def take_away(_use: Use) -> None:
        (tmp_path / "tools.sock").unlink()

    serve(take_away)
    assert run(box, ("send_message", "{}")) == [("this agent may not use send_message now", True)]


def test_all_uses_of_one_answer_together_keep_the_bell_waiting_for_a_bounded_time(
    tmp_path: Path, serve: Callable[..., Server]
):
    gone = threading.Event()

    def never(_use: Use) -> None:
        gone.wait(10)

    serve(never)
    host = HostTools(str(tmp_path / "tools.sock"), wait_s=0.3)
    box = Toolbox(str(tmp_path), host, memory="", shared="")
    begun = time.monotonic()
    try:
        results = run(box, *[("my_rights", "{}")] * 16)
    finally:
        gone.set()
    assert time.monotonic() - begun < 2
    assert {("did not answer in time" in text, is_error) for text, is_error in results} == {
        (True, True)
    }


def test_an_answer_to_another_call_is_passed_over(box: Toolbox, serve: Callable[..., Server]):
    serve(lambda use: frame(Used(call=use.call + 1, text="not this")) + answered(use))
    assert run(box, ("my_rights", "{}")) == [("done", False)]


def test_the_longest_arguments_and_answer_cross_and_longer_ones_do_not(
    box: Toolbox, serve: Callable[..., Server]
):
    server = serve(lambda use: frame(Used(call=use.call, text="\U0001f642" * MAX_USED_CHARS)))
    longest = "\U0001f642" * MAX_ARGUMENTS_CHARS
    (text, is_error), (refusal, refused) = run(
        box, ("request_change", longest), ("request_change", longest + "x")
    )
    assert (len(text), is_error, refused) == (MAX_USED_CHARS, False, True)
    assert "longer than" in refusal
    assert [use.arguments for use in server.uses] == [longest]


def test_a_key_is_one_use_of_a_turn_whatever_ids_the_model_gives(
    tmp_path: Path, serve: Callable[..., Server]
):
    server = serve(*[answered] * 6)

    def fresh() -> Toolbox:
        return Toolbox(str(tmp_path), HostTools(str(tmp_path / "tools.sock")), memory="", shared="")

    run(fresh(), ("my_rights", "{}"), ("my_rights", "{}"))
    run(fresh(), ("my_rights", "{}"), ("send_message", "{}"))
    run(fresh(), ("my_rights", "{}"), ("my_rights", "[]"), step=1)
    keys = [use.key for use in server.uses]
    assert keys[0] == keys[2], "a fresh box that does the step again"
    assert len({keys[0], keys[1], keys[3], keys[4], keys[5]}) == 5


def test_every_tool_of_the_host_describes_an_object_of_known_fields():
    for spec in SPECS:
        told = msgspec.json.decode(spec.parameters)
        assert told["additionalProperties"] is False
        assert set(told.get("required", [])) <= set(told["properties"])


# --- the program as a process ---------------------------------------------------------------------


def tool(call: int, name: str, arguments: str = "{}") -> Generated:
    return Generated(
        call=call, entries=(Called(call="c1", name=name, arguments=arguments),), stop=Stop.TOOL
    )


def result_of(step: object) -> Returned:
    assert isinstance(step, Step)
    (result,) = [entry for entry in step.entries if isinstance(entry, Returned)]
    return result


def test_a_setup_within_a_turn_counts_from_the_next_tool_call_on(host: Host):
    host.begin(setup(tools=("clock",)), message(1))
    ask = host.ask()
    assert [spec.name for spec in ask.tools] == ["clock"]
    assert "request_change" not in ask.system

    # Taken away while the model thinks: the call comes to nothing, and the turn goes on.
    host.publish(setup(tools=("request_change",)))
    host.settle()
    host.tell(tool(ask.call, "clock"))
    result = result_of(host.outbound())
    assert (result.text, result.is_error) == (
        "there is no tool of that name; the tools are: request_change",
        True,
    )
    ask = host.ask()
    assert [spec.name for spec in ask.tools] == ["request_change"]
    assert "request_change" in ask.system

    # Given while the model thinks: it is there, in the same turn.
    host.publish(setup(tools=("clock",)))
    host.settle()
    host.tell(tool(ask.call, "clock"))
    assert not result_of(host.outbound()).is_error
    host.tell(Generated(call=host.ask().call, entries=(Answered(text="ok"),), stop=Stop.END))
    assert host.outbound().says[0].text == "ok"


def test_a_longer_persona_within_a_turn_leaves_out_just_the_turns_that_it_takes_the_room_of(
    host: Host,
):
    host.begin(setup(context_bytes=10_000_000), message(1, "x" * 200_000))
    for number in range(2, 21):
        host.tell(
            Generated(call=host.ask().call, entries=(Answered(text="y" * 200_000),), stop=Stop.END)
        )
        host.outbound()
        host.publish(message(number))
    ask = host.ask()
    host.publish(setup(context_bytes=10_000_000, persona="z" * 250_000, tools=("clock",)))
    host.settle()
    host.tell(tool(ask.call, "clock"))
    host.outbound()
    again = host.ask()
    assert again.turn == "msg_20"
    assert (ask.entries[0].message, again.entries[0].message) == ("msg_1", "msg_2")


def test_a_use_goes_out_of_the_program_and_its_answer_into_the_transcript(host: Host):
    server = Server(host.root / "run/ironclaw/tools.sock", answered)
    try:
        host.begin(setup(tools=("my_rights",)), message(1))
        host.tell(tool(host.ask().call, "my_rights"))
        assert result_of(host.outbound()).text == "done"
        assert [(use.turn, use.tool) for use in server.uses] == [("msg_1", "my_rights")]
    finally:
        server.end()


def test_a_code_of_a_newer_host_ends_the_turn_and_not_the_box(host: Host):
    """Why the version stays: a box of a former image works on, and only a word is less exact."""
    host.begin(setup(), message(1), message(2))
    ask = host.ask()
    assert host.model is not None
    body = msgspec.msgpack.encode({"f": "failed", "call": ask.call, "code": "newer", "text": ""})
    host.model.sendall(len(body).to_bytes(4, "big") + body)
    assert host.outbound().failed == "malformed"
    assert host.ask().turn == "msg_2"


def test_tools_that_a_former_program_has_not_are_not_offered_to_its_model(host: Host):
    host.begin(setup(tools=("clock", "tool_of_the_future")), message(1))
    assert [spec.name for spec in host.ask().tools] == ["clock"]
