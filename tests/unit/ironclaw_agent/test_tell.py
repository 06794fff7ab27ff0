"""`tell`: words beside the results of the step, so often in a turn, and no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.unit.ironclaw_agent.agent_host import message, setup

from ironclaw_agent.tools.host import HostTools
from ironclaw_agent.tools.specs import TELL
from ironclaw_agent.tools.table import Toolbox
from ironclaw_agent.tools.tell import MOST_TOLD, NAME, Tell
from ironclaw_contract.entries import Answered, Called, Returned
from ironclaw_contract.records import Step, TurnEnd
from ironclaw_contract.rpc import Generated, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.unit.ironclaw_agent.agent_host import Host

    from ironclaw_contract.entries import Entry


def called(text: object) -> Called:
    return Called(call="c", name=NAME, arguments=msgspec.json.encode({"text": text}).decode())


@pytest.fixture
def toolbox(tmp_path: Path) -> Toolbox:
    (tmp_path / "a.txt").touch()
    box = Toolbox(str(tmp_path), HostTools("none.sock"), memory="", shared=str(tmp_path / "none"))
    box.publish = lambda _part: True
    return box


def run(toolbox: Toolbox, *calls: Called, heard: Sequence[Entry] = ()) -> list[Returned]:
    allowed = frozenset({NAME, "send_file"})
    return toolbox.run_all(calls, allowed=allowed, turn="msg_1", step=0, heard=heard)


def test_its_arguments_are_what_the_model_is_told():
    schema = msgspec.json.schema(Tell)["$defs"]["Tell"]
    told = msgspec.json.decode(TELL.parameters)
    limits = {key: schema["properties"]["text"][key] for key in ("minLength", "maxLength")}
    assert told["properties"]["text"].items() >= limits.items()
    assert told["required"] == schema["required"]
    assert told["additionalProperties"] is schema["additionalProperties"] is False
    assert f"At most {MOST_TOLD} times" in TELL.description


def test_words_and_files_go_in_the_order_of_their_calls(toolbox: Toolbox):
    file = Called(call="f", name="send_file", arguments='{"path": "a.txt", "caption": "two"}')
    results = run(toolbox, called("one"), file, called("three"))
    assert [one.is_error for one in results] == [False, False, False]
    says = toolbox.take_says()
    assert [(say.text, len(say.files), say.reply_to) for say in says] == [
        ("one", 0, "msg_1"),
        ("two", 1, "msg_1"),
        ("three", 0, "msg_1"),
    ]
    assert toolbox.take_says() == ()


@pytest.mark.parametrize("text", ["", " \n", "x" * 4001, 7])
def test_what_are_no_words_is_answered_and_not_said(toolbox: Toolbox, text: object):
    assert run(toolbox, called(text))[0].is_error
    assert toolbox.take_says() == ()


def test_it_is_used_so_often_in_one_turn_by_whatever_box(toolbox: Toolbox):
    before = (*[called("x")] * (MOST_TOLD - 2), Returned("c", "said"))
    results = run(toolbox, *[called("y")] * 3, heard=before)
    assert [one.is_error for one in results] == [False, False, True]
    assert "say the rest in your answer" in results[-1].text
    assert len(toolbox.take_says()) == 2
    # The next turn has none of it before it.
    assert not run(toolbox, called("y"))[0].is_error


def test_the_words_are_in_the_step_and_the_answer_comes_behind_it(host: Host):
    host.hello()
    host.claim()
    host.publish(setup(tools=(NAME,)), message(1))
    ask = host.ask()
    host.tell(Generated(call=ask.call, entries=(called("still at it"),), stop=Stop.TOOL))
    step = host.outbound()
    assert isinstance(step, Step)
    assert [(say.text, say.files) for say in step.says] == [("still at it", ())]
    assert [type(entry) for entry in step.entries] == [Called, Returned]
    host.tell(Generated(call=host.ask().call, entries=(Answered(text="done"),), stop=Stop.END))
    end = host.outbound()
    assert isinstance(end, TurnEnd)
    assert [say.text for say in end.says] == ["done"]
