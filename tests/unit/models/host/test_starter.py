"""When there is a model host, and what it is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.model_house import ask, hosting, provider

from ironclaw.core.tasks import Tasks
from ironclaw.models.host import starter
from ironclaw.models.host.process import take_environment
from ironclaw.models.host.starter import ModelHost, environment
from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.codes import WireCode

ENVIRON = {
    "K": "the key",
    "OTHER_KEY": "not for the host",
    "HOME": "/root",
    "HTTPS_PROXY": "http://proxy",
    "CREDENTIALS_DIRECTORY": "/run/credentials/ironclaw",
}


def test_the_host_gets_what_key_sources_name_and_what_networks_need() -> None:
    with_env = {"one": provider("openai", "")}
    with_credential = {"one": provider("openai", "", key="credential:openai")}

    assert environment(with_env, ENVIRON) == {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "HTTPS_PROXY": "http://proxy",
        "K": "the key",
    }
    assert "CREDENTIALS_DIRECTORY" in environment(with_credential, ENVIRON)
    assert "K" not in environment(with_credential, ENVIRON)


def test_the_host_keeps_no_key_where_libraries_look(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(starter.os.environ):
        monkeypatch.delenv(name)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)

    taken = take_environment()

    assert taken == ENVIRON
    assert dict(starter.os.environ) == {"HTTPS_PROXY": "http://proxy"}


async def test_there_is_no_host_until_a_model_is_asked_and_none_after_the_end() -> None:
    async with hosting(one=provider("openai", "http://127.0.0.1:9/v1")) as host:
        assert host.pid == 0

        _, end = await ask(host, "two")

        assert isinstance(end, ModelTrouble)
        assert end.word == "The model provider two is not configured."
        os.kill(host.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(host.pid, 0)


async def test_a_provider_without_its_key_says_so_and_not_where_it_would_be(
    tmp_path: Path,
) -> None:
    there = provider("openai", "", key=f"file:{tmp_path}/none")
    async with hosting(one=there) as host:
        _, end = await ask(host, "one")

    assert isinstance(end, ModelTrouble)
    assert end.code is WireCode.MODEL_REFUSED
    assert "has no key that can be used" in end.word
    assert str(tmp_path) not in end.word
    assert str(tmp_path) in end.detail


async def test_a_host_that_cannot_start_is_a_trouble_that_may_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starter, "_BOOT", "raise SystemExit(3)")
    async with Tasks("test", on_failure=lambda *_: None) as tasks:
        host = ModelHost({}, {}, tasks)
        _, end = await ask(host, "one")
        await host.close()

    assert isinstance(end, ModelTrouble)
    assert end.code is WireCode.MODEL_UNAVAILABLE
