"""The program itself, as a process with real sockets, segments and signals."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.ironclaw_agent.agent_host import KEY, SESSION, Host, message, setup

from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Returned, Said
from ironclaw_contract.records import History, Step, Trouble, TurnEnd
from ironclaw_contract.rpc import Bell, Delta, Failed, Generated, Stop


def answer(call: int, text: str) -> Generated:
    return Generated(call=call, entries=(Answered(text=text),), stop=Stop.END)


def tool(call: int, name: str, arguments: str, *, call_id: str = "c1") -> Generated:
    return Generated(
        call=call, entries=(Called(call=call_id, name=name, arguments=arguments),), stop=Stop.TOOL
    )


def test_a_blank_box_says_what_it_sees_and_that_it_has_no_key(host: Host):
    hello = host.hello()
    assert (hello.claimed, hello.in_seq, hello.out_seq) == (False, 0, 0)
    assert hello.facts is not None
    assert "lo" in hello.facts.interfaces
    assert hello.facts.in_writable


def test_a_message_is_answered_and_the_next_turn_remembers_it(host: Host):
    host.begin(setup(), message(1, "my name is Ann"))
    ask = host.ask()
    assert ask.entries == (Said(message="msg_1", sender="Ann", text="my name is Ann", at_ms=0),)
    assert ask.system.endswith("You test.")
    host.tell(Delta(call=ask.call, text="Hel"))
    host.tell(answer(ask.call, "Hello Ann"))
    end = host.outbound()
    assert isinstance(end, TurnEnd)
    assert (end.turn, end.index, end.failed) == ("msg_1", 0, None)
    assert [(say.text, say.reply_to) for say in end.says] == [("Hello Ann", "msg_1")]
    host.publish(message(2, "what is my name?"))
    ask = host.ask()
    assert [type(entry) for entry in ask.entries] == [Said, Answered, Said]
    host.tell(answer(ask.call, "Ann"))
    assert host.outbound().says[0].text == "Ann"


def test_the_watchdog_is_answered_while_the_model_thinks(host: Host):
    host.begin(setup(), message(1))
    host.ask()
    host.ring(Bell.PING)
    host.expect(answer=Bell.PONG)


def test_a_tool_runs_and_its_step_is_published_before_the_model_is_asked_again(host: Host):
    host.begin(setup(), message(1))
    host.tell(tool(host.ask().call, "write_file", '{"path":"a.txt","text":"42"}'))
    step = host.outbound()
    assert isinstance(step, Step)
    assert [type(entry) for entry in step.entries] == [Called, Returned]
    ask = host.ask()
    host.tell(answer(ask.call, "done"))
    end = host.outbound()
    assert (end.index, [say.text for say in end.says]) == (1, ["done"])
    assert (host.root / "workspace/a.txt").read_text() == "42"


@pytest.mark.crash
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_killed_box_goes_on_behind_its_last_published_step(host: Host, steps: int):
    said = Said(message="msg_1", sender="Ann", text="text 1", at_ms=0)
    host.begin(setup(), message(1))
    published: list[object] = []
    for number in range(steps):
        host.tell(tool(host.ask().call, "clock", "{}", call_id=f"c{number}"))
        published.extend(host.outbound().entries)
    host.ask()
    host.new_life()
    history = History(entries=(said, *published), turn="msg_1", index=steps)
    host.begin(setup(), *([history] if steps else []), message(1))
    ask = host.ask()
    assert ask.entries == (said, *published)
    host.tell(answer(ask.call, "once"))
    end = host.outbound()
    assert (end.turn, end.index, [say.text for say in end.says]) == ("msg_1", steps, ["once"])


def test_after_a_new_airlock_the_box_says_how_far_it_is_and_asks_again(host: Host):
    host.begin(setup(), message(1))
    host.tell(answer(host.ask().call, "one"))
    host.outbound()
    host.publish(message(2))
    first = host.ask()
    host.replace_airlock()
    hello = host.hello()
    assert (hello.claimed, hello.in_seq, hello.out_seq, hello.facts) == (True, 3, 1, None)
    again = host.ask()
    assert again.entries == first.entries
    host.tell(answer(first.call, "late, for a call that was given up"))
    host.tell(answer(again.call, "two"))
    assert host.outbound().says[0].text == "two"
    assert len(list((host.root / "queue/out").iterdir())) == 2


def test_a_segment_that_came_while_nobody_could_ring_is_found_on_reconnect(host: Host):
    host.begin(setup())
    host.settle()
    host.end_airlock()
    host.publish(message(1), ring=False)
    host.listen()
    host.hello()
    assert host.ask().turn == "msg_1"


def test_an_answer_right_after_a_new_hello_is_rung_for_a_little_later(host: Host):
    # Turns that end without asking anybody.
    host.begin(setup(max_steps=0), message(0))
    host.outbound()
    gaps_s = []
    for number in range(1, 6):
        host.settle()
        host.end_airlock()
        host.publish(message(number), ring=False)
        host.listen()
        host.hello()
        greeted_at = time.monotonic()
        host.expect(answer=Bell.LOOK)
        gaps_s.append(time.monotonic() - greeted_at)
        assert host.outbound().failed is WireCode.TOO_MANY_STEPS
    # A busy machine lets this process see some hellos late, and so short gaps.
    assert max(gaps_s) > 0.02


def test_a_message_that_comes_twice_is_answered_once(host: Host):
    host.begin(setup(), message(1), message(1))
    host.tell(answer(host.ask().call, "one"))
    host.outbound()
    host.publish(message(1), message(2))
    assert host.ask().turn == "msg_2"


def test_a_model_failure_ends_the_turn_with_its_code_and_the_next_turn_runs(host: Host):
    host.begin(setup(), message(1), message(2))
    host.tell(Failed(call=host.ask().call, code=WireCode.MODEL_REFUSED, text="no"))
    assert host.outbound().failed is WireCode.MODEL_REFUSED
    host.tell(answer(host.ask().call, "fine"))
    assert host.outbound().says[0].text == "fine"


def test_bytes_that_are_no_model_frame_end_the_turn_and_not_the_box(host: Host):
    host.begin(setup(), message(1), message(2))
    host.ask()
    assert host.model is not None
    host.model.sendall(b"\x00\x00\x00\x02\xc1\xc1")
    assert host.outbound().failed is WireCode.MALFORMED
    assert host.ask().turn == "msg_2"


def test_a_large_context_crosses_a_slow_socket_while_the_bell_still_works(host: Host):
    host.begin(setup(context_bytes=3_000_000), message(1, "x" * 200_000))
    for number in range(2, 8):
        host.tell(answer(host.ask().call, "y" * 200_000))
        host.outbound()
        host.publish(message(number, "z" * 100_000))
    host.ring(Bell.PING)
    host.expect(answer=Bell.PONG)
    assert sum(len(entry.text) for entry in host.ask().entries) > 1_500_000


def test_a_segment_that_does_not_follow_is_reported_and_ends_the_box(host: Host):
    host.begin(setup())
    host.chain_in.last = bytes(32)
    host.publish(message(1))
    trouble = host.outbound()
    assert trouble == Trouble(code=WireCode.MALFORMED, text="a record of the host was refused")
    code, errors = host.wait()
    assert code == 3
    assert "another record" in errors


def test_a_message_before_the_setup_is_refused(host: Host):
    host.begin(message(1))
    assert isinstance(host.outbound(), Trouble)
    assert host.wait()[0] == 3


def test_a_key_file_that_is_not_one_is_refused_without_a_word_of_it(host: Host):
    host.hello()
    (host.root / "run/ironclaw/key").write_bytes(b"secret")
    host.ring()
    code, errors = host.wait()
    assert code == 3
    assert "secret" not in errors


def test_a_full_outbound_directory_delays_the_answer_and_loses_nothing(host: Host):
    host.begin(setup(), message(1))
    ask = host.ask()
    out = host.root / "queue/out"
    shutil.move(out, host.root / "moved")
    (host.root / "moved" / ".0000000000000001.seg").mkdir()
    host.tell(answer(ask.call, "kept"))
    host.settle()
    (host.root / "moved" / ".0000000000000001.seg").rmdir()
    shutil.move(host.root / "moved", out)
    assert host.outbound().says[0].text == "kept"


def test_told_to_end_it_ends_cleanly(host: Host):
    host.hello()
    # It waits again: what the signal meets in the middle of SQLite is told on the error output.
    host.settle()
    assert host.end() == (0, "")


def test_no_key_or_word_of_the_conversation_stays_on_disk_in_the_clear(host: Host):
    host.begin(setup(), message(1, "a very private thing"))
    host.tell(answer(host.ask().call, "a very private reply"))
    host.outbound()
    host.end()
    for path in host.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"very private" not in data
            assert KEY not in data
            assert SESSION.encode() not in data


def test_the_program_imports_nothing_that_its_start_cannot_afford():
    banned = "asyncio json logging hashlib dataclasses pathlib traceback socket ssl ctypes random"
    paths = [path for path in sys.path if path]
    code = (
        f"import sys; sys.path[:0] = {paths!r}; sys.modules['typing_extensions'] = None\n"
        "import ironclaw_agent.main\n"
        f"found = [name for name in {banned.split()!r} if name in sys.modules]\n"
        "late = 'inside trees beneath memory edit search todo files clock source'.split()\n"
        "ours = ['ironclaw', *(f'ironclaw_agent.tools.{name}' for name in late)]\n"
        "lazy = 'clean_tools memory_dir memory_notes'.split()\n"
        "ours += [f'ironclaw_contract.{name}' for name in lazy]\n"
        "ours = [name for name in ours if name in sys.modules]\n"
        "sys.exit(str(found + ours) if found + ours else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_a_missing_mount_is_a_clear_end(tmp_path: Path):
    host = Host(tmp_path)
    try:
        (tmp_path / "queue/out").rmdir()
        host.start()
        host.hello()
        (tmp_path / "run/ironclaw/key").write_bytes(
            b"\x83\xa7session\xa8ses_test\xa5epoch\x01\xa3key\xc4\x20" + KEY
        )
        host.ring()
        code, errors = host.wait()
        assert code == 4
        assert "mount" in errors
    finally:
        host.close()


def test_a_kill_leaves_no_half_written_segment_under_a_final_name(host: Host):
    host.begin(setup(), message(1))
    host.tell(answer(host.ask().call, "x" * 100_000))
    host.end(signal.SIGKILL)
    for path in (host.root / "queue/out").glob("[0-9]*.seg"):
        assert path.stat().st_size % 4096 == 0
    host._read_out()
