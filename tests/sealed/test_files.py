"""Files across the wall: in with messages, shown to the model, kept through a kill, and out."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import signal
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.api import open_socket
from tests.support.house import wait_for_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

AGENT = "porter"
BIG = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(100_000)) + b"end"
"""A little over 3 MiB, of no pattern: seven parts, in more than one segment."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
    + _chunk(b"IEND", b"")
)


def get(house: House, file: str) -> tuple[int, dict[str, str], bytes]:
    """A file, byte by byte as it comes."""
    token = (house.state / "api-token").read_text().strip()
    connection = http.client.HTTPConnection("localhost")
    connection.sock = open_socket(house.runtime / "api.sock")
    try:
        connection.request("GET", f"/v1/files/{file}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def send(house: House, text: str, **files: bytes) -> Any:
    """Say something with files, and wait for the reply."""
    uploads = [
        {"name": name.replace("_", "."), "data": base64.b64encode(data).decode()}
        for name, data in files.items()
    ]
    with house.api() as api:
        answer = api.call(
            "POST",
            f"/v1/agents/{AGENT}/chats/main/messages?wait=45",
            {"text": text, "files": uploads},
        )
    assert answer.status == 200, answer
    assert answer.body["status"] == "answered", answer
    return answer.body


def transcript(house: House, session: str) -> list[Any]:
    with house.api() as api:
        events: list[Any] = api.get(f"/v1/sessions/{session}/transcript").body["events"]
    return events


def seen(data: bytes) -> str:
    return f"sees image/png, {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"


def tool(name: str, **arguments: object) -> str:
    return f"!tool {name} {json.dumps(arguments)}"


def test_files_go_in_and_out_and_outlive_the_box(house: House, tmp_path: Path) -> None:
    with house.api() as api:
        api.make_agent(AGENT, tools=["read_file", "write_file", "list_files", "send_file"])

    # In, by the command line: the model is told where it is, and shown the picture.
    picture = tmp_path / "a b.png"
    picture.write_bytes(PNG)
    tmp_path.chmod(0o755)
    told = house.cli("chat", AGENT, "!files", "--file", str(picture), "--json").told
    found = re.match(
        rf"\[File /workspace/(inbox/fil_\w+-a_b\.png): image/png, {len(PNG)} bytes\]", told["text"]
    )
    assert found is not None, told
    assert told["text"].endswith(seen(PNG))

    # By the API, larger than a segment; then the box is killed, and the next one has both still.
    sent = send(house, "!files", big_bin=BIG)
    big = re.search(r"/workspace/(inbox/fil_\w+-big\.bin): application/octet-stream", sent["reply"])
    assert big is not None, sent
    box = house.box_of(sent["session"])
    os.kill(box.sentry, signal.SIGKILL)
    wait_for_end(box.sentry)
    again = send(house, f"{tool('list_files', path='inbox')}\n!say listed")
    assert again["session"] == sent["session"]
    shown = send(house, "!files")["reply"]
    assert found[1] in shown
    assert "not there" not in shown
    assert shown.endswith(seen(PNG))

    # Out: before the answer, in its own event; what went in is what comes out.
    lines = (
        tool("write_file", path="report.html", text="<script>hello</script>"),
        tool("send_file", path="report.html", caption="the report"),
        tool("send_file", path=big[1]),
        tool("send_file", path="../etc/passwd"),
        "!say done",
    )
    out = send(house, "\n".join(lines))
    assert out["reply"] == "done"
    events = [one for one in transcript(house, out["session"]) if one["message"] == out["message"]]
    assert [one["kind"] for one in events] == ["message", "said", "said", "reply"]
    (report,), (copy,) = events[1]["files"], events[2]["files"]
    assert (events[1]["text"], report["name"], report["media_type"]) == (
        "the report",
        "report.html",
        "text/plain",
    )
    status, headers, data = get(house, report["id"])
    assert (status, data) == (200, b"<script>hello</script>")
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["x-content-type-options"] == "nosniff"
    assert get(house, copy["id"])[2] == BIG
    saved = tmp_path / "saved"
    if house.is_root:
        assert house.cli("file", "get", report["id"], "--output", str(saved)).status == 0
        assert saved.read_bytes() == data
        assert house.cli("file", "get", report["id"], "--output", str(saved)).status != 0

    # Nothing of it is plain on the disk, and forgetting the session forgets it.
    store = (house.state / "store.db").read_bytes()
    wal = house.state / "store.db-wal"
    plain = store + (wal.read_bytes() if wal.exists() else b"")
    assert PNG not in plain
    assert BIG[:64] not in plain
    assert house.cli("session", "forget", out["session"], "--yes", "--json").status == 0
    assert get(house, report["id"])[0] == 404
