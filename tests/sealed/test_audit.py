"""The audit of a real house: told and verified at any time, over a kill and a rotation."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.api import Api
from tests.support.house import wait_for

if TYPE_CHECKING:
    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(180)]


def events(house: House) -> list[str]:
    return [one["event"] for one in house.cli("audit", "tail", "--json").told["records"]]


def verified(house: House, *words: str) -> Any:
    said = house.cli("audit", "verify", *words, "--json")
    assert said.status == 0, said
    return said.told


def test_a_house_says_who_did_what_and_a_stopped_one_proves_it(houses_of: Houses) -> None:
    with houses_of.open(SANDBOX_POOL_SIZE="0") as house:
        sent = house.ask("demo", "a secret of a person")
        session, message = sent["session"], sent["message"]
        house.cli("token", "mint", "bot", "--scope", "read", "--json")
        house.cli("session", "stop", session)
        with closing(Api(house.runtime / "api.sock", "icl_wrong")) as stranger:
            assert stranger.get("/v1/agents").status == 401

        told = house.cli("audit", "tail", "--json").told["records"]
        why = house.cli("why", message, "--json").told
        running = verified(house)
        house.down()

        found = {one["event"]: one for one in told}
        assert set(found) >= {
            "daemon.started", "agent.created", "token.minted", "token.used", "wiring.made",
            "role.given", "launch.proven", "session.stopped", "auth.failed",
        }  # fmt: skip
        stopped = found["session.stopped"]
        assert (stopped["actor"], stopped["via"]) == ("api:cli", "cli")
        assert (found["wiring.made"]["actor"], found["wiring.made"]["via"]) == ("api:cli", "api")
        assert "actor" not in found["launch.proven"]
        assert [one["event"] for one in why["records"]] == [
            "agent.created", "wiring.made", "launch.proven", "session.stopped",
        ]  # fmt: skip
        receipt = found["launch.proven"]["receipt"]
        assert house.cli("why", receipt, "--json").told["kind"] == "receipt"
        assert "secret" not in json.dumps(told)
        assert "icl_" not in json.dumps(told)
        stopped_house = verified(house)
        assert stopped_house["last"] > running["last"]
        assert stopped_house["unsigned"] == 0
        assert events(house)[-1] == "daemon.stopped"


def test_a_killed_core_leaves_a_chain_that_holds_and_the_next_one_says_so(
    houses_of: Houses,
) -> None:
    with houses_of.open(SANDBOX_POOL_SIZE="0") as house:
        house.ask("demo", "hello")
        core = house.core()
        assert core is not None
        os.kill(core, signal.SIGKILL)
        verified(house)
        wait_for(lambda: house.core() not in {None, core}, "the next core")
        assert house.cli("status").status == 0  # waits until it listens
        house.ask("demo", "again")

        assert "store.recovered" in events(house)
        verified(house)


def test_what_was_rotated_away_is_one_chain_with_what_is_left(houses_of: Houses) -> None:
    with houses_of.open(SANDBOX_POOL_SIZE="0") as house:
        house.ask("demo", "hello")
        archive = house.place / "archive.jsonl"

        rotated = house.cli("audit", "rotate", str(archive), "--json")
        assert rotated.status == 0, rotated
        house.ask("demo", "again")

        through = rotated.told["through"]
        assert verified(house)["first"] == through + 1
        whole = verified(house, str(archive), "--store")
        alone = verified(house, str(archive), "--key", str(house.state / "audit-key.pub"))
        assert whole["last"] > alone["last"] == through
        assert events(house)[0] == "audit.rotated"


def test_at_rest_the_audit_does_nothing(houses_of: Houses) -> None:
    """What is new is signed once; after that the store is not written to."""
    with houses_of.open(SANDBOX_POOL_SIZE="0") as house:
        house.cli("audit", "tail")
        with house.api() as api:
            assert api.call("POST", "/v1/audit/checkpoint").status == 200
        before = (house.state / "store.db-wal").stat().st_mtime_ns
        time.sleep(2)

        assert (house.state / "store.db-wal").stat().st_mtime_ns == before
