"""A day with an agent, as one story that is told with every model: see `tests.support.playbook`.

Each method is a part of it. Parts of several stories may go on at once, in one house.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tests.support.house import wait_for, wait_for_end
from tests.support.playbook import CLERK, Mind, ProviderMind, Turn

if TYPE_CHECKING:
    from tests.support.api import Api
    from tests.support.house import House

TOOLS: Final = (
    *("ask_user", "list_files", "memory_read", "memory_write", "read_file"),
    *("request_change", "send_file", "send_message", "write_file"),
)
EVENING: Final = datetime(2027, 3, 26, 19, 0, tzinfo=UTC)
"""When the story begins. In Oslo clocks go from two to three in the night to the 28th."""
NINE_IN_OSLO: Final = (
    datetime(2027, 3, 27, 8, 0, tzinfo=UTC),
    datetime(2027, 3, 28, 7, 0, tzinfo=UTC),
)
PICTURE: Final = b"\x89PNG\r\n\x1a\n" + b"a heron" * 9
DAILY: Final = Turn("Time for the morning report.", answer="Seven herons this morning.")
REPORT: Final = "Herons at the lake: seven.\n"


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class Story:
    """The conversation of one agent with Ann."""

    def __init__(self, house: House, mind: Mind) -> None:
        self.house = house
        self.mind = mind
        self.agent = mind.name
        self.clerk = f"{CLERK}-{mind.name}"
        self.session = ""
        self.notes = ""
        self.replies = 0

    # --- what people do ---------------------------------------------------------------------------

    def tell(self, api: Api, turn: Turn, *, wait: float = 45, **more: Any) -> Any:
        """Say a turn's words; `more` are fields of the message, and `chat`."""
        chat = more.pop("chat", "main")
        target = f"/v1/agents/{self.agent}/chats/{chat}/messages"
        self.mind.expect(turn)
        body = {"text": self.mind.words(turn), **more}
        answer = api.call("POST", f"{target}?wait={wait}" if wait else target, body)
        assert answer.status in {200, 202}, answer
        return answer.body

    def ask(self, api: Api, turn: Turn, **more: Any) -> str:
        """The same, for the reply."""
        sent = self.tell(api, turn, **more)
        assert sent["status"] == "answered", (turn.cue, sent)
        self.replies += 1
        return str(sent["reply"])

    def events(self, api: Api, session: str = "") -> list[Any]:
        """All that was said."""
        target = f"/v1/sessions/{session or self.session}/transcript?limit=200"
        events: list[Any] = api.get(target).body["events"]
        return events

    def heard(
        self, api: Api, sender: str, text: str, kind: str = "reply", *, begins: str = ""
    ) -> Any:
        """What somebody said, once it is there."""

        def found() -> list[Any]:
            return [
                one
                for one in self.events(api)
                if (one["sender"], one["kind"]) == (sender, kind)
                and text in one["text"]
                and one["text"].startswith(begins)
            ]

        wait_for(found, f"{sender} to say {text!r} to {self.agent}")
        return found()[-1]

    def tasks(self, api: Api) -> list[Any]:
        """What it does at times."""
        tasks: list[Any] = api.get(f"/v1/tasks?agent={self.agent}").body["tasks"]
        return tasks

    def next_ms(self, api: Api) -> int:
        """When the report is due."""
        return next(
            int(one["next_ms"]) for one in self.tasks(api) if one["task"]["name"] == "report"
        )

    def approve_all(self, api: Api) -> None:
        """Say yes to what the agent asked for."""
        views = api.get(f"/v1/changes?agent={self.agent}").body["changes"]
        assert views
        for view in views:
            decided = api.decide(view)
            assert decided.status == 200, decided

    # --- the story --------------------------------------------------------------------------------

    def morning(self, api: Api) -> None:
        """Two agents, one of which is talked with: words, tools, memory, files."""
        api.make_agent(self.agent, model=self.mind.model, tools=list(TOOLS))
        api.change(kind="model", agent=self.agent, model=self.mind.model, thinking="medium")
        api.make_agent(self.clerk, model=self.mind.clerk)
        self.mind.expect(Turn(CLERK, answer="It is 42."))

        hello = Turn("Good morning! I am Ann, and I like herons.", answer="Good morning, Ann.")
        sent = self.tell(api, hello)
        assert (sent["status"], sent["reply"]) == ("answered", "Good morning, Ann."), sent
        self.session = sent["session"]

        note = ("memory_write", {"topic": "people", "text": "Ann is fond of herons."})
        report = ("write_file", {"path": "report.txt", "text": REPORT})
        keep = Turn("Note that, and write the report.", ((note, report),), "Both are written.")
        assert self.ask(api, keep._replace(thought="Two at once.")) == "Both are written."

        look = Turn(
            "Look at these.", (), "I see", finds=r"inbox/fil_\w+-notes\.txt", shows="!files"
        )
        files = [
            {"name": name, "data": base64.b64encode(data).decode()}
            for name, data in (("heron.png", PICTURE), ("notes.txt", b"The boat is called Plum."))
        ]
        seen = self.ask(api, look, files=files)
        found = re.search(r"inbox/fil_\w+-notes\.txt", seen)
        assert found is not None, seen
        self.notes = found[0]
        self.check_picture(seen)

        read = (("read_file", {"path": self.notes}),)
        plum = Turn("Read the notes to me.", (read,), "They say:", finds=r"called \w+")
        assert "called Plum" in self.ask(api, plum)

    def check_picture(self, seen: str) -> None:
        """The model was shown it."""
        if isinstance(self.mind, ProviderMind):
            body = self.mind.server.asked[-1].body.decode().replace("\\/", "/")
            assert base64.b64encode(PICTURE).decode() in body
        else:
            digest = hashlib.sha256(PICTURE).hexdigest()[:16]
            assert f"sees image/png, {len(PICTURE)} bytes, sha256 {digest}" in seen

    def noon(self, api: Api) -> None:
        """Its box is killed; what it remembers, sends, asks, and wishes for."""
        box = self.house.box_of(self.session)
        os.kill(box.sentry, signal.SIGKILL)
        wait_for_end(box.sentry)
        lines = Turn("What did I say first?", (), "You said:", finds="I am Ann", shows="!recall")
        assert "I am Ann" in self.ask(api, lines)
        memory = (("memory_read", {"topic": "people"}),)
        noted = Turn("And what have you noted?", (memory,), "I noted:", finds="fond of herons")
        if isinstance(self.mind, ProviderMind):
            assert "fond of herons" in self.ask(api, noted)
        else:
            # Its words are cut short, and before a note stands where it is from.
            assert "memory session=" in self.ask(api, noted)
        topic = api.get(f"/v1/agents/{self.agent}/memory/people").body
        assert "fond of herons" in topic["text"]

        send = (("send_file", {"path": "report.txt", "caption": "The report."}),)
        assert self.ask(api, Turn("Send me the report.", (send,), "Sent.")) == "Sent."
        (file,) = self.heard(api, self.agent, "The report.", "said")["files"]
        assert api.download(f"/v1/files/{file['id']}") == REPORT.encode()

        which = {"question": "Which boat?", "options": ["the red one", "the blue one"]}
        boat = Turn("Take a boat.", ((("ask_user", which),),), "Taken:", finds="the blue one")
        asked = self.tell(api, boat)
        assert (asked["status"], asked["reply"]) == ("asked", "Which boat?"), asked
        assert asked["options"] == which["options"]
        target = f"/v1/questions/{asked['question']}/answer"
        assert api.call("POST", target, {"text": "2"}).status == 200
        assert "the blue one" in self.heard(api, self.agent, "the blue one")["text"]
        self.replies += 1

    def evening(self, api: Api) -> None:
        """A task and another agent: asked for, approved, used."""
        task = {
            "kind": "task.add", "name": "report", "prompt": self.mind.words(DAILY),
            "cron": "0 9 * * *", "zone": "Europe/Oslo",
        }  # fmt: skip
        clerk = {"kind": "destination.add", "name": CLERK, "channel": "agent"}
        clerk["platform_id"] = self.clerk
        wishes = tuple(
            ("request_change", {"change": change, "reason": "To be of use."})
            for change in (task, clerk)
        )
        wish = Turn("Report every morning, and ask the clerk.", (wishes,), "I have asked for it.")
        assert self.ask(api, wish) == "I have asked for it."
        self.approve_all(api)

        words = "What is six times seven?"
        if self.mind.name == "scripted":
            words += "\n!say It is 42."
        self.mind.expect(Turn("It is 42.", answer="Ann, the clerk says", finds="It is 42"))
        send = (("send_message", {"destination": CLERK, "text": words}),)
        assert self.ask(api, Turn("Ask it now.", (send,), "I asked.")) == "I asked."
        self.heard(api, f"agent {self.clerk}", "It is 42.", "message")
        # What was sent to the clerk is among what the agent said too, and has the number in it.
        begins = f"{self.agent} heard" if self.mind.name == "scripted" else "Ann, the clerk says"
        self.heard(api, self.agent, "It is 42", begins=begins)
        self.replies += 1

    def hang(self, api: Api) -> None:
        """A turn that does not end by itself."""
        self.tell(api, Turn("Think for ever.", hangs=True), wait=0)
        if isinstance(self.mind, ProviderMind):
            wait_for(lambda: self.mind.calls("Think for ever."), "the provider to be asked")
        view = f"/v1/sessions/{self.session}"
        wait_for(lambda: api.get(view).body["box"] == "busy", "the box to be busy")

    def stop(self, api: Api) -> None:
        """It ends within a second, and the provider is left."""
        began = time.monotonic()
        stopped = api.say(self.agent, "/stop", wait=0)
        took = time.monotonic() - began
        assert took < 1.0, took
        assert stopped["reply"].startswith("The agent has stopped."), stopped
        if isinstance(self.mind, ProviderMind):
            wait_for(self.mind.server.left.is_set, "the upstream request to be closed")

    def go_on(self, api: Api) -> None:
        """After the stop, as before."""
        assert self.ask(api, Turn("Are you there?", answer="I am here.")) == "I am here."
        self.mind.expect(DAILY)
        assert self.next_ms(api) == milliseconds(NINE_IN_OSLO[0])
        assert self.replies >= 10

    def wake(self, api: Api, nine: datetime) -> None:
        """Nobody tells a core that its clock was set: a new task has it look."""
        task = next(one["task"] for one in self.tasks(api) if one["task"]["name"] == "report")
        new = {"name": f"in-a-year-{nine.day}", "at_ms": milliseconds(nine) + 365 * 86_400_000}
        place = {name: task[name] for name in ("agent", "channel", "platform_id")}
        api.change(kind="task.add", prompt="A year is over.", **place, **new)

    def report(self, api: Api, nine: datetime) -> None:
        """The task is told at nine o'clock there, and at no other time."""

        def reports() -> list[int]:
            return [
                one["at_ms"]
                for one in self.events(api)
                if one["kind"] == "reply" and one["text"] == DAILY.answer
            ]

        days = NINE_IN_OSLO.index(nine) + 1
        wait_for(lambda: len(reports()) >= days, f"the report of {nine}")
        assert 0 <= reports()[-1] - milliseconds(nine) < 60_000
        if days < len(NINE_IN_OSLO):
            assert self.next_ms(api) == milliseconds(NINE_IN_OSLO[days])

    def budget(self, api: Api) -> None:
        """Ten calls are sent, the eleventh is not; one step more, and it is."""
        api.change(kind="limits", agent=self.agent, calls_per_session=10)
        count = Turn("Count for me.", endless=lambda n: ("list_files", {"path": str(n)}))
        said = self.tell(api, count, chat="counting")
        assert (said["status"], said["code"]) == ("failed", "rate_limited"), said
        assert self.mind.calls(count.cue) in {10, None}
        usage = f"/v1/usage?agent={self.agent}&session={said['session']}"
        (row,) = api.get(usage).body["rows"]
        assert row["calls"] == 10
        raised = re.search(r"`ironclaw approve (chg_\w+)` raises it", said["reply"])
        assert raised is not None, said
        assert api.decide(api.get(f"/v1/changes/{raised[1]}").body).status == 200
        more = Turn("Go on, then.", answer="Eleven.")
        assert self.ask(api, more, chat="counting") == "Eleven."
        assert self.mind.calls(more.cue) in {1, None}
