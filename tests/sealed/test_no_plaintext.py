"""Disk and slots show no word of a conversation and no key of it, while it runs and afterwards."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]
HERE = Path(__file__).parent


def _forms(data: bytes) -> list[str]:
    """Every way in which bytes may lie around, as hex."""
    forms = [data, data.hex().encode(), data.hex().upper().encode(), base64.b64encode(data)]
    return [form.hex() for form in forms]


def _look(house: House, needles: dict[str, bytes], *, running: bool) -> set[tuple[str, str]]:
    wanted = json.dumps({name: _forms(data) for name, data in needles.items()})
    places = [str(house.state), str(house.runtime)]
    script = str(HERE / "grep_tree.py")
    if running:
        places.append(str(house.view / "slots"))
        told = json.loads(house.in_nest(house.python, script, *places, stdin=wanted))
    else:
        done = subprocess.run(
            [house.python, script, *places],
            input=wanted,
            capture_output=True,
            text=True,
            check=True,
        )
        told = json.loads(done.stdout)
    assert told["seen"] > 5
    return {(name, Path(path).name) for name, path in told["hits"]}


def _keys(house: House) -> dict[str, bytes]:
    argv = house.as_user(house.python, "-s", "-P", str(HERE / "session_keys.py"), str(house.state))
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd="/")
    told = json.loads(done.stdout)
    found = {"store key": bytes.fromhex(told["store"])}
    for session, (queue, content) in told["sessions"].items():
        found[f"queue key of {session}"] = bytes.fromhex(queue)
        found[f"content key of {session}"] = bytes.fromhex(content)
    return found


def test_disk_and_slots_show_no_plaintext_of_message_or_key(houses_of: Houses) -> None:
    sender = f"sender-{secrets.token_hex(8)}"
    first, second, reply = (f"word-{secrets.token_hex(16)}" for _ in range(3))
    words = {"sender": sender, "first": first, "second": second, "reply": reply}
    with houses_of.open() as house:
        minted = house.cli("token", "mint", sender, "--scope", "admin", "--json").told
        with house.api() as owner:
            owner.be_solo()
            owner.change(kind="role.give", principal=f"api:{sender}", role="owner", agent=None)
        (house.state / "api-token").write_text(minted["secret"])
        with house.api() as api:
            sent = api.say("demo", first)
        assert first in sent["reply"]
        house.down()
        keys = _keys(house)
        assert len(keys) == 3

        house.up()
        assert reply in house.ask("demo", f"{second}\n!say {reply}")["reply"]
        assert first in house.ask("demo", "!recall")["reply"]
        needles = {name: text.encode() for name, text in words.items()} | keys
        needles["token"] = minted["secret"].encode()
        while_running = _look(house, needles, running=True)
        house.down()
        afterwards = _look(house, needles, running=False)

    # The command line's own token is a file: that it is found shows that the search finds things.
    assert while_running == {("token", "api-token")}
    assert afterwards == {("token", "api-token")}
