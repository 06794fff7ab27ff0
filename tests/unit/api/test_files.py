"""Files over the API: in with a message, out to those who may follow the chat; bounds."""

from __future__ import annotations

import base64
import gc
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.api import gate
from ironclaw.api.files import disposition
from ironclaw.api.openai_answers import Whole
from ironclaw.api.openai_bodies import ChatRequest, ResponsesRequest
from ironclaw.api.openai_files import note, without_note
from ironclaw.api.sizes import LARGE_AT_ONCE, LargeBodies
from ironclaw.core.errors import PolicyError
from ironclaw.domain.tokens import Scope
from ironclaw_contract.entries import File
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_FILES

if TYPE_CHECKING:
    from tests.unit.api.conftest import Edge

URL = "/v1/agents/demo/chats/main/messages"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def sent(data: bytes, name: str = "a.png") -> dict[str, str]:
    return {"name": name, "data": base64.b64encode(data).decode()}


async def events(edge: Edge) -> list[Any]:
    (view,) = await edge.house.sessions(agent=None)
    return await edge.house.transcript(view.session.id, limit=99)


async def test_a_file_goes_with_a_message_and_comes_back_as_it_was(edge: Edge):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(
            URL, json={"text": "look", "files": [sent(PNG, "b i\u202eld.png")]}
        )
        assert answer.status_code == 202
        (file,) = (await events(edge))[0].files
        got = await client.get(f"/v1/files/{file.id}")
    assert (file.name, file.media_type, file.size) == ("b ild.png", "image/png", len(PNG))
    assert got.content == PNG
    assert got.headers["content-type"] == "image/png"
    assert got.headers["content-length"] == str(len(PNG))
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-disposition"].startswith('attachment; filename="b ild.png"')


async def test_what_a_browser_would_run_is_sent_as_text(edge: Edge):
    page = b"<html><script>alert(1)</script>"
    async with edge.client(Scope.CHAT) as client:
        await client.post(URL, json={"files": [sent(page, "a.html")], "text": ""})
        (file,) = (await events(edge))[0].files
        got = await client.get(f"/v1/files/{file.id}")
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert got.headers["content-disposition"].startswith("attachment")


async def test_a_file_of_nobody_is_not_found(edge: Edge):
    async with edge.client(Scope.CHAT) as client:
        assert (await client.get("/v1/files/fil_none")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": "x", "files": [sent(b"")] * (MAX_FILES + 1)}, 400),
        ({"text": "x", "files": [{"name": "a", "data": "no base64"}]}, 400),
        ({"text": "x", "files": [{"name": "", "data": ""}]}, 400),
        ({"text": "x", "files": [sent(bytes(MAX_FILE_BYTES + 1))]}, 413),
        ({"text": "x", "files": [sent(bytes(11 * 1024**2))] * 3}, 413),
    ],
)
async def test_more_than_a_message_may_have_is_refused(edge: Edge, body: Any, status: int):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(URL, json=body)
    assert answer.status_code == status


async def test_so_many_large_bodies_are_dealt_with_at_once():
    large = LargeBodies()
    held = [large.place(f"api:{n}") for n in range(LARGE_AT_ONCE)]
    for one in held:
        one.__enter__()
    with pytest.raises(PolicyError), large.place("api:ann"):
        pass
    held[0].__exit__(None, None, None)
    with large.place("api:ann"):
        pass


async def test_nobody_keeps_the_others_from_sending_files():
    large = LargeBodies()
    with large.place("api:eve"), large.place("api:eve"):
        with pytest.raises(PolicyError), large.place("api:eve"):
            pass
        with large.place("api:ann"):
            pass


async def test_two_together_leave_a_place_to_a_third():
    large = LargeBodies()
    with large.place("api:eve"), large.place("api:eve"), large.place("api:mal"):
        with pytest.raises(PolicyError), large.place("api:mal"):
            pass
        with large.place("api:ann"):
            pass
    with large.place("api:mal"), large.place("api:mal"):
        pass


async def test_a_refused_place_is_not_counted():
    large = LargeBodies()
    with large.place("api:eve"), large.place("api:eve"):
        for _ in range(9):
            with pytest.raises(PolicyError), large.place("api:eve"):
                pass
    with large.place("api:eve"), large.place("api:eve"):
        pass


BOMBS = {
    "values": (b'"tools":[', b"0"),
    "objects": (b'"tools":[', b"{}"),
    "parts": (b'"messages":[{"role":"user","content":[', b'{"type":"a"}'),
    "lists": (b'"messages":[{"role":"user","content":[', b"[]"),
}


@pytest.mark.parametrize(("head", "unit"), BOMBS.values(), ids=BOMBS)
async def test_a_long_body_of_millions_of_values_is_not_even_decoded(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, head: bytes, unit: bytes
):
    decoded: list[int] = []
    monkeypatch.setattr(gate, "decode", lambda _kind, raw: decoded.append(len(raw)))
    count = 8 * 1024 * 1024 // (len(unit) + 1)
    body = b'{"model":"demo",' + head + b",".join([unit] * count) + b"]}"
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post("/v1/chat/completions", content=body)
    assert (answer.status_code, decoded) == (413, [])


@pytest.mark.parametrize("name", ['a"b\r\nx: y', "\u202e", "ä.txt", "..", "x" * 500])
def test_a_name_cannot_write_headers(name: str):
    header = disposition(name)
    assert "\r" not in header
    assert "\n" not in header
    assert header.isascii()
    assert header.count('"') == 2


# --- the front door -------------------------------------------------------------------------------


def ask(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"model": "demo", "messages": [{"role": "user", "content": list(parts)}]}


def respond(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"model": "demo", "input": [{"role": "user", "content": list(parts)}]}


DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
RAW = base64.b64encode(b"%PDF-1.7").decode()
TAKEN = [
    ("chat/completions", ask({"type": "image_url", "image_url": {"url": DATA_URL}}), "image.png"),
    ("chat/completions", ask({"type": "image_url", "image_url": DATA_URL}), "image.png"),
    (
        "chat/completions",
        ask({"type": "file", "file": {"filename": "r.pdf", "file_data": RAW}}),
        "r.pdf",
    ),
    (
        "chat/completions",
        ask({"type": "input_audio", "input_audio": {"data": RAW, "format": "wav"}}),
        "sound.wav",
    ),
    ("responses", respond({"type": "input_image", "image_url": DATA_URL}), "image.png"),
    (
        "responses",
        respond(
            {
                "type": "input_file",
                "filename": "r.pdf",
                "file_data": f"data:application/pdf;base64,{RAW}",
            }
        ),
        "r.pdf",
    ),
]


@pytest.mark.parametrize(("path", "body", "name"), TAKEN)
async def test_files_of_a_client_are_taken(edge: Edge, path: str, body: Any, name: str):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    (event,) = edge.house.heard
    assert event.text == "(a file)"
    assert [one.name for one in event.files] == [name]


REFUSED = [
    ask({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
    ask({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}),
    ask({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}),
    ask({"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}),
    ask({"type": "image_url"}),
    ask({"type": "file", "file": {"file_id": "file-1"}}),
    ask({"type": "video", "text": "x"}),
    ask(*[{"type": "image_url", "image_url": DATA_URL}] * (MAX_FILES + 1)),
]


@pytest.mark.parametrize("body", REFUSED)
async def test_what_is_not_in_the_request_is_not_fetched(edge: Edge, body: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code in {400, 413}
    assert edge.house.heard == []


async def test_files_of_older_messages_are_passed_over(edge: Edge):
    body = ask({"type": "text", "text": "hello"})
    body["messages"] = [
        {"role": "user", "content": [{"type": "image_url", "image_url": 7}]},
        {"role": "assistant", "content": "nice"},
        *body["messages"],
    ]
    async with edge.client(Scope.CHAT) as client:
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    assert edge.house.heard[0].files == ()


def test_what_is_told_of_files_is_not_taken_for_the_agents_words():
    file = File(id="fil_1", name="a.txt", media_type="text/plain", size=3)
    assert without_note(f"done{note([file, file])}") == "done"
    assert note([]) == ""


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", ask({"type": "image_url", "image_url": DATA_URL})),
        ("responses", respond({"type": "input_image", "image_url": DATA_URL})),
    ],
)
async def test_what_was_sent_is_not_kept_while_its_answer_is_waited_for(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, path: str, body: Any
):
    real, kept = Whole.__init__, []

    def look(whole: Whole, call: Any, turn: Any, make: Any) -> None:
        real(whole, call, turn, make)
        kept.append(_reached([whole], ChatRequest | ResponsesRequest))

    monkeypatch.setattr(Whole, "__init__", look)
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    assert kept == [[]]


def _reached(begin: list[Any], kind: Any) -> list[Any]:
    """What of a kind a few steps from some objects lead to."""
    found: list[Any] = []
    seen: set[int] = set()
    for _ in range(5):
        begin = [one for one in gc.get_referents(*begin) if id(one) not in seen]
        seen |= set(map(id, begin))
        found += [one for one in begin if isinstance(one, kind)]
    return found
