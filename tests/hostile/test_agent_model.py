"""A model that attacks: whatever it answers, the box goes on and nothing leaves the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.ironclaw_agent.agent_host import Host, message, setup

from ironclaw_contract.entries import Answered, Called, Returned
from ironclaw_contract.records import Step, TurnEnd
from ironclaw_contract.rpc import Generated, Stop

pytestmark = pytest.mark.hostile


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "secret").write_text("secret")
    made = Host(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.close()


def finish(host: Host) -> TurnEnd:
    ask = host.ask()
    host.tell(Generated(call=ask.call, entries=(Answered(text="still here"),), stop=Stop.END))
    end = host.outbound()
    assert isinstance(end, TurnEnd)
    assert [say.text for say in end.says] == ["still here"]
    return end


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("rocket", "{}"),
        ("read_file", "[" * 200_000),
        ("read_file", '{"path":' * 30_000),
        ("read_file", "\0"),
        ("read_file", '{"path":"/proc/self/environ"}'),
        ("read_file", '{"path":"../secret"}'),
        ("read_file", '{"path":"/workspace/../secret"}'),
        ("list_files", '{"path":"/run/ironclaw"}'),
        ("write_file", '{"path":"../queue/out/0000000000000009.seg","text":"x"}'),
        ("write_file", '{"path":"a","text":"x","mode":"4777"}'),
    ],
)
def test_a_call_that_reaches_too_far_is_an_error_for_the_model(
    host: Host, name: str, arguments: str
):
    host.begin(setup(), message(1))
    calls = (Called(call="c1", name=name, arguments=arguments),)
    host.tell(Generated(call=host.ask().call, entries=calls, stop=Stop.TOOL))
    step = host.outbound()
    assert isinstance(step, Step)
    result = step.entries[-1]
    assert isinstance(result, Returned)
    assert result.is_error
    assert "secret" not in result.text
    assert finish(host).index == 1
    assert not list((host.root / "workspace").iterdir())


def test_one_id_for_many_calls_gives_each_its_result(host: Host):
    host.begin(setup(), message(1))
    calls = tuple(
        Called(call="same", name="list_files", arguments=f'{{"path": "{number}"}}')
        for number in range(128)
    )
    host.tell(Generated(call=host.ask().call, entries=calls, stop=Stop.TOOL))
    step = host.outbound()
    assert [type(entry) for entry in step.entries].count(Returned) == 128
    finish(host)


def test_a_tool_that_the_setup_does_not_grant_does_not_run(host: Host):
    host.begin(setup(tools=("clock",)), message(1))
    calls = (Called(call="c1", name="write_file", arguments='{"path":"a","text":"x"}'),)
    host.tell(Generated(call=host.ask().call, entries=calls, stop=Stop.TOOL))
    assert host.outbound().entries[-1].is_error
    assert not (host.root / "workspace/a").exists()
    finish(host)


def test_an_answer_of_many_megabytes_fails_its_turn_and_not_the_box(host: Host):
    host.begin(setup(), message(1), message(2))
    parts = tuple(Answered(text="x" * 200_000) for _ in range(15))
    host.tell(Generated(call=host.ask().call, entries=parts, stop=Stop.END))
    assert host.outbound().failed == "too_large"
    finish(host)
