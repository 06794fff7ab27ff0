"""Bad input: a clear error, a next step and its exit code; nothing lost, nothing half-made."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import CODES, Code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.house import House, Houses, Said

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def resting(houses_of: Houses) -> Iterator[House]:
    """A house with one old message, which each test finds and leaves up."""
    with houses_of.open(SANDBOX_POOL_SIZE="0") as house:
        house.ask("demo", "the number is 17")
        yield house


def refused(said: Said, code: Code) -> str:
    """The message of an error of that code, which must name the next step."""
    assert said.status == CODES[code].exit_code, said
    error = json.loads(said.out)["error"]
    assert error["code"] == code
    assert error["hint"]
    message: str = error["message"]
    return message


@contextmanager
def broken_at_rest(house: House) -> Iterator[None]:
    """The house is down inside; afterwards it is up again and remembers."""
    house.down()
    try:
        yield
        assert not house.is_up
    finally:
        if not house.is_up:
            house.up(SANDBOX_POOL_SIZE="0")
    assert '1. "the number is 17"' in house.ask("demo", "!recall")["reply"]


def test_an_unknown_agent_is_named(resting: House) -> None:
    refused(resting.cli("chat", "nobody", "hi", "--json"), Code.NOT_FOUND)
    with resting.api() as api:
        answer = api.call("POST", "/v1/agents/nobody/chats/main/messages", {"text": "hi"})
    assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert answer.body["hint"]


def test_a_message_of_ten_megabytes_leaves_nothing(resting: House) -> None:
    with resting.api() as api:
        session = api.say("demo", "hello")["session"]
        before = api.get(f"/v1/sessions/{session}/transcript").body
        target = "/v1/agents/demo/chats/main/messages"
        answer = api.call("POST", target, {"text": "x" * 10_000_000})
        assert (answer.status, answer.body["code"]) == (413, "too_large")
        assert answer.body["hint"]
        assert api.get(f"/v1/sessions/{session}/transcript").body == before
    said = resting.cli("chat", "demo", stdin="y" * 10_000_000 + "\n")
    assert said.status == CODES[Code.TOO_LARGE].exit_code, said.err[:500]
    assert "next:" in said.err


def test_noise_on_the_api_disturbs_nobody(resting: House) -> None:
    target = "/v1/agents/demo/chats/main/messages"
    with resting.api() as api:
        for size in (1, 100, 70_000):
            assert b"200 OK" not in api.noise(secrets.token_bytes(size))
        for body in (b"\xff\xfe\x00", b"{", b'{"text": 1}', b'{"text": "\xc3"}', b"[" * 50_000):
            answer = api.call("POST", target, body)
            assert (answer.status, answer.body["code"]) == (400, "invalid")
            assert answer.body["hint"]
        assert api.get("/v1/status").body["ready"] is True
    assert "17" in resting.ask("demo", "!recall")["reply"]


def test_a_typo_in_the_configuration_is_shown_with_its_line(resting: House) -> None:
    file = resting.place / "typo.toml"
    file.write_text("[sandbox]\npool_sise = 1\n")
    file.chmod(0o644)
    for command in (("up",), ("agent", "list")):
        said = resting.cli("--config", str(file), *command, "--json")
        assert f"{file}:2" in refused(said, Code.CONFIG_INVALID)
        assert "pool_size" in json.loads(said.out)["error"]["hint"]


def test_a_house_is_looked_at_and_stopped_whatever_is_wrong_in_the_configuration(
    resting: House,
) -> None:
    file = resting.place / "wrong.toml"
    file.write_text("[sandbox\n")
    file.chmod(0o644)
    with broken_at_rest(resting):
        resting.up(SANDBOX_POOL_SIZE="0")
        for command in ("status", "logs", "down"):
            said = resting.cli("--config", str(file), command, "--json")
            assert said.status == 0, said
            assert f"The settings are wrong: {file}:1" in said.err
        assert json.loads(said.out) == {"stopped": True}


def test_without_runsc_nothing_starts(resting: House) -> None:
    with broken_at_rest(resting):
        resting.settings = {"SANDBOX_RUNSC": "/nonexistent/runsc"}
        said = resting.cli("up", "--json")
        refused(said, Code.RUNTIME_MISSING)
        assert "Install runsc" in said.told["error"]["hint"]


def test_an_old_runsc_is_refused(resting: House) -> None:
    stub = resting.place / "old-runsc"
    stub.write_text("#!/bin/sh\necho 'runsc version 0.0~20221219.0'\n")
    stub.chmod(0o755)
    with broken_at_rest(resting):
        resting.settings = {"SANDBOX_RUNSC": str(stub)}
        assert "20221219" in refused(resting.cli("up", "--json"), Code.RUNTIME_TOO_OLD)


def test_a_corrupted_store_is_left_as_it_is(resting: House) -> None:
    store = resting.state / "store.db"
    with broken_at_rest(resting), changed(store) as bad:
        refused(resting.cli("up", "--json"), Code.STORE_CORRUPT)
        assert store.read_bytes() == bad


def test_a_wrong_master_key_replaces_nothing(resting: House) -> None:
    key, store = resting.state / "keys" / "master.key", resting.state / "store.db"
    with broken_at_rest(resting), changed(key) as bad:
        before = store.read_bytes()
        refused(resting.cli("up", "--json"), Code.KEY_UNUSABLE)
        assert (key.read_bytes(), store.read_bytes()) == (bad, before)


@contextmanager
def changed(file: Path) -> Iterator[bytes]:
    """A file with every byte of its middle part flipped, and as it was afterwards."""
    good = file.read_bytes()
    middle = range(len(good) // 4, 3 * len(good) // 4)
    bad = bytes(byte ^ 0xFF if place in middle else byte for place, byte in enumerate(good))
    file.write_bytes(bad)
    try:
        yield bad
    finally:
        file.write_bytes(good)


@pytest.mark.root_only
def test_a_state_directory_of_somebody_else_is_not_touched(resting: House) -> None:
    owner = resting.state.stat()
    with broken_at_rest(resting):
        os.chown(resting.state, 65534, 65534)
        try:
            refused(resting.cli("up", "--json"), Code.CONFIG_INVALID)
        finally:
            os.chown(resting.state, owner.st_uid, owner.st_gid)
