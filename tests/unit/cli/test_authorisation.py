"""Every verb of the command line, for everybody of the authorisation matrix.

A verb does what its requests do and no more: the table says which those are, a recorder sees that
it is so, and each caller's exit code is what the matrix of endpoints says of the first request that
is refused. So the one table (`tests.support.authorisation`) holds for the command line as well.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from tests.support.authorisation import FORBIDDEN, MATRIX, NOT_FOUND, OK, UNAUTHENTICATED, Caller

from ironclaw.cli.client import Client
from ironclaw.cli.main import COMMANDS, load
from ironclaw.domain.model import Role
from ironclaw.domain.policy import Policy
from ironclaw.domain.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ironclaw.domain.model import Agent
    from ironclaw.testing.fake_house import FakeHouse
    from ironclaw.testing.fake_tokens import FakeTokens

EXITS: Final = {UNAUTHENTICATED: 8, FORBIDDEN: 40, NOT_FOUND: 4}

_ASK: Final = ("POST /v1/changes",)
_ROUTES: Final = [
    (verb, re.compile(re.sub(r"\{[a-z]+\}", "[^/]+", path) + r"\Z"), name)
    # The plainest first: a path without parameters is no other's.
    for name in sorted(MATRIX, key=lambda name: name.count("{"))
    for verb, path in [name.split()]
]


class Verb(NamedTuple):
    """One verb, with the requests that it makes."""

    argv: tuple[str, ...]
    """Words in braces are replaced by what there is of the agent that is asked about."""
    asks: tuple[str, ...]


def _verb(argv: str, *asks: str) -> Verb:
    return Verb(tuple(argv.split()), asks)


VERBS: Final = {
    "chat": _verb("chat {agent} hello", "POST /v1/agents/{agent}/chats/{name}/messages"),
    "status": _verb("status", "GET /v1/status"),
    "agent list": _verb("agent list", "GET /v1/agents"),
    "agent show": _verb("agent show {agent}", "GET /v1/agents/{agent}"),
    "agent archive": _verb("agent archive {agent}", *_ASK),
    "agent persona": _verb("agent persona {agent} {new}", *_ASK),
    "agent model": _verb("agent model {agent} scripted/{new}", *_ASK),
    "agent tools": _verb("agent tools {agent} --add clock", *_ASK),
    "agent limits": _verb("agent limits {agent} pids=99", *_ASK),
    "agent share": _verb("agent share {agent} /nowhere --name it", *_ASK),
    "agent unshare": _verb("agent unshare {agent} it", *_ASK),
    "agent destination": _verb("agent destination {agent} it --channel a --chat b", *_ASK),
    "agent template": _verb("agent template list", "GET /v1/templates"),
    "skill list": _verb("skill list", "GET /v1/skills"),
    "skill show": _verb("skill show birds", "GET /v1/skills/{skill}"),
    "skill add": _verb("skill add {agent} birds", "GET /v1/skills/{skill}", *_ASK),
    "skill remove": _verb("skill remove {agent} birds", *_ASK),
    "skill drop": _verb("skill drop birds", "GET /v1/skills/{skill}"),
    "task add": _verb("task add {agent} it do --channel a --chat b --at 2099-01-01T00:00", *_ASK),
    "task remove": _verb("task remove {agent} it", *_ASK),
    "task update": _verb("task update {agent} it --quiet", *_ASK),
    "task pause": _verb("task pause {agent} it", *_ASK),
    "task resume": _verb("task resume {agent} it", *_ASK),
    "task run": _verb("task run {agent} it", "POST /v1/agents/{agent}/tasks/{name}/run"),
    "task list": _verb("task list --agent {agent}", "GET /v1/tasks"),
    "change list": _verb("change list --agent {agent}", "GET /v1/changes"),
    "change show": _verb("change show {change}", "GET /v1/changes/{change}"),
    "change diff": _verb("change diff {spec}", "POST /v1/changes/preview"),
    "change submit": _verb("change submit {spec}", *_ASK),
    "change withdraw": _verb("change withdraw {change}", "POST /v1/changes/{change}/withdraw"),
    "change retry": _verb("change retry {change}", "POST /v1/changes/{change}/retry"),
    "approve": _verb(
        "approve {change} --yes",
        "GET /v1/changes/{change}",
        "POST /v1/changes/{change}/decision",
    ),
    "reject": _verb(
        "reject {change} --yes", "GET /v1/changes/{change}", "POST /v1/changes/{change}/decision"
    ),
    "grant list": _verb("grant list --agent {agent}", "GET /v1/grants"),
    "policy show": _verb("policy show", "GET /v1/policy"),
    "model list": _verb("model list", "GET /v1/providers"),
    "usage": _verb("usage --agent {agent}", "GET /v1/usage"),
    "principal list": _verb("principal list", "GET /v1/principals"),
    "me": _verb("me", "GET /v1/me"),
    "wiring list": _verb("wiring list", "GET /v1/wirings"),
    "wiring create": _verb("wiring create test {new} {agent}", *_ASK),
    "role list": _verb("role list", "GET /v1/standings"),
    "role give": _verb("role give test:{new} member --agent {agent}", *_ASK),
    "role take": _verb("role take test:{new} member --agent {agent}", *_ASK),
    "session list": _verb("session list --agent {agent}", "GET /v1/sessions"),
    "session show": _verb("session show {session}", "GET /v1/sessions/{session}"),
    "session stop": _verb("session stop {session}", "POST /v1/sessions/{session}/stop"),
    "session receipt": _verb("session receipt {session}", "GET /v1/sessions/{session}/receipt"),
    "session transcript": _verb(
        "session transcript {session}", "GET /v1/sessions/{session}/transcript"
    ),
    "session search": _verb("session search {session} hello", "GET /v1/sessions/{session}/search"),
    "session forget": _verb("session forget {session}", "GET /v1/sessions/{session}", *_ASK),
    "file list": _verb("file list --agent {agent}", "GET /v1/files"),
    "file get": _verb("file get {file} --output -", "GET /v1/files/{file}"),
    "question list": _verb("question list", "GET /v1/questions"),
    "question answer": _verb(
        "question answer {question} red", "POST /v1/questions/{question}/answer"
    ),
    "memory list": _verb("memory list {agent}", "GET /v1/agents/{agent}/memory"),
    "memory show": _verb("memory show {agent} birds", "GET /v1/agents/{agent}/memory/{topic}"),
    "memory edit": _verb("memory edit {agent} {new} it", "PUT /v1/agents/{agent}/memory/{topic}"),
    "memory forget": _verb(
        "memory forget {agent} {new}", "DELETE /v1/agents/{agent}/memory/{topic}"
    ),
    "memory purge": _verb(
        "memory purge {agent} ses_goneaaaaaaaaaaaa", "POST /v1/agents/{agent}/memory/purge"
    ),
    "audit tail": _verb("audit tail", "GET /v1/audit"),
    "audit show": _verb("audit show 1", "GET /v1/audit/{number}"),
    "why": _verb("why {agent}", "GET /v1/why"),
    "token list": _verb("token list", "GET /v1/tokens"),
    "token mint": _verb("token mint {new}", "POST /v1/tokens"),
    "token revoke": _verb("token revoke {token}", "DELETE /v1/tokens/{token}"),
}
"""Verbs about one agent, or about none."""

OF_THE_HOUSE: Final = {
    "agent create": _verb("agent create {new}", *_ASK),
    "agent restore": _verb("agent restore {id}", *_ASK),
    "policy set": _verb("policy set pending_s 3600", "GET /v1/policy", *_ASK),
    "principal link": _verb("principal link test:{new} api:cli", *_ASK),
    "principal unlink": _verb("principal unlink test:{new}", *_ASK),
    "wiring strangers": _verb("wiring strangers test room public", *_ASK),
    "wiring delete": _verb("wiring delete {wiring}", "GET /v1/wirings", *_ASK),
    "grant revoke": _verb(
        "grant revoke {grant} --yes", "GET /v1/grants", "POST /v1/grants/{grant}/revoke"
    ),
}
"""Verbs that are not about the agent of a role: what is asked of them is in tests of their own
(`tests/unit/api`), here it is which requests they make."""

LOCAL: Final = {
    *("up", "down", "logs", "doctor", "demo", "prove", "bench", "change watch"),
    *("skill keygen", "skill pack", "skill sign", "skill verify", "skill import"),
    *("audit verify", "audit export", "audit rotate", "receipt verify"),
}
"""Verbs that ask no running house, or make requests of rows above on their own."""


def leaves() -> Iterator[str]:
    """Every verb there is but those of images, which are files."""
    for name in COMMANDS:
        inner = getattr(load(name), "commands", None)
        yield from [name] if inner is None else [f"{name} {one}" for one in inner]


def test_every_verb_has_its_place() -> None:
    known = VERBS.keys() | OF_THE_HOUSE.keys() | LOCAL
    assert {name for name in leaves() if not name.startswith("image ")} == known


class People(NamedTuple):
    """Everybody of the matrix, as files with tokens."""

    own: Agent
    other: Agent
    files: dict[Caller, str]


@pytest.fixture
def people(house: FakeHouse, tokens: FakeTokens, tmp_path: Path) -> People:
    own, other = house.add_agent("helper"), house.add_agent("other")
    house.setting.policy = Policy(solo=True, max_pending=1000)
    _token(tokens, tmp_path, "asker", Scope.ADMIN)
    house.give("api:asker", Role.OPERATOR)
    files = {}
    for caller in MATRIX["GET /v1/changes"].expected:
        if caller.scope is None:
            path = tmp_path / "nobody"
            path.write_text("icl_nobody")
            path.chmod(0o600)
            files[caller] = str(path)
            continue
        files[caller] = _token(tokens, tmp_path, caller.name, caller.scope)
        if caller.role is not None:
            house.give(f"api:{caller.name}", caller.role, None if caller.is_global else own)
    return People(own, other, files)


def _token(tokens: FakeTokens, place: Path, name: str, scope: Scope) -> str:
    path = place / name
    minted = asyncio.run(tokens.mint(name=name, scopes=[scope], ttl_s=None))
    path.write_text(minted.secret)
    path.chmod(0o600)
    return str(path)


class Recorder:
    """What the command line asks the daemon for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        real = Client._request

        def request(client: Client, method: str, path: tuple[str, ...], *rest: Any) -> Any:
            target = "/" + "/".join(path)
            self.asked.append(
                next(
                    name
                    for verb, pattern, name in _ROUTES
                    if verb == method and pattern.match(target)
                )
            )
            return real(client, method, path, *rest)

        monkeypatch.setattr(Client, "_request", request)


class Places:
    """What there is of one agent, made anew where a verb uses it up."""

    def __init__(self, cli: Any, people: People, asker: str) -> None:
        self._cli = cli
        self._people = people
        self._asker = asker
        self._count = 0

    def words(self, verb: Verb, agent: Agent) -> list[str]:
        """The verb's words about that agent."""
        return [self._word(word, agent) for word in verb.argv]

    def _word(self, word: str, agent: Agent) -> str:
        self._count += 1
        made: dict[str, Callable[[Agent], str]] = {
            "{agent}": lambda agent: agent.name,
            "{id}": lambda agent: agent.id,
            "{change}": self._change,
            "{grant}": self._grant,
            "{session}": self._session,
            "{file}": self._file,
            "{question}": self._question,
            "{token}": self._token,
            "{wiring}": self._wiring,
            "{spec}": self._spec,
        }
        return made[word](agent) if word in made else word.replace("{new}", f"n{self._count}")

    def _session(self, agent: Agent) -> str:
        return str(self._told("chat", agent.name, "hello")["session"])

    def _file(self, agent: Agent) -> str:
        said = ("chat", agent.name, "look", "--file", __file__)
        session = self._told(*said, file=self._asker)["session"]
        events = self._told("session", "transcript", session)["events"]
        return str(next(one for one in reversed(events) if one["files"])["files"][0]["id"])

    def _question(self, agent: Agent) -> str:
        told = self._told("chat", agent.name, f"ask {self._count}", file=self._asker)
        return str(told["question"])

    def _token(self, _agent: Agent) -> str:
        self._cli("token", "mint", f"t{self._count}")
        return f"t{self._count}"

    def _wiring(self, agent: Agent) -> str:
        self._own("wiring", "create", "test", f"w{self._count}", agent.name)
        return str(self._told("wiring", "list")["wirings"][-1]["wiring"]["id"])

    def _spec(self, agent: Agent) -> str:
        return json.dumps({"kind": "persona", "agent": agent.name, "persona": f"p{self._count}"})

    def _change(self, agent: Agent) -> str:
        view = self._told("agent", "persona", agent.name, f"Q{self._count}", file=self._asker)
        return str(view["row"]["change"]["id"])

    def _grant(self, agent: Agent) -> str:
        view = self._own("agent", "persona", agent.name, f"Q{self._count}")
        return str(view["row"]["grant"]["id"])

    def _own(self, *argv: str) -> Any:
        return self._told(*argv, "--yes")

    def _told(self, *argv: str, file: str = "") -> Any:
        before = ("--token-file", file) if file else ()
        status, out, err = self._cli(*before, *argv, "--json")
        assert status == 0, (argv, out, err)
        return json.loads(out)


@pytest.fixture
def places(cli: Any, people: People, tmp_path: Path) -> Places:
    return Places(cli, people, str(tmp_path / "asker"))


def _expected(verb: Verb, caller: Caller) -> str:
    """What the matrix says of the first request that is refused."""
    signs = [MATRIX[endpoint].expected[caller] for endpoint in verb.asks]
    return next((sign for sign in signs if sign != OK), OK)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_does_for_everybody_what_the_matrix_says(
    cli: Any, people: People, places: Places, name: str
) -> None:
    verb = VERBS[name]
    wrong = {}
    for caller, path in people.files.items():
        if not all(caller in MATRIX[endpoint].expected for endpoint in verb.asks):
            continue  # the request is about no agent, so there is no foreign one
        agent = people.other if caller.is_foreign else people.own
        status, out, err = cli("--token-file", path, *places.words(verb, agent))
        expected = _expected(verb, caller)
        if expected == OK:
            if status in EXITS.values() and not _is_about_itself(name, status):
                wrong[caller.name] = (expected, status, out[-200:], err[-300:])
        elif status != EXITS[expected]:
            wrong[caller.name] = (expected, status, out[-200:], err[-300:])

    assert wrong == {}


def _is_about_itself(name: str, status: int) -> bool:
    """Whether a refusal is about what was asked for, and not about who asks."""
    missing = {"agent unshare", "agent destination", "skill remove", "task add", "role take", "why"}
    missing |= {f"task {verb}" for verb in ("remove", "update", "pause", "resume", "run")}
    return name == "agent share" or (status == EXITS[NOT_FOUND] and name in missing)


@pytest.mark.parametrize("name", [*VERBS, *OF_THE_HOUSE])
def test_a_verb_asks_for_what_the_table_says(
    cli: Any, people: People, places: Places, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verb = (VERBS | OF_THE_HOUSE)[name]
    words = places.words(verb, people.own)
    recorder = Recorder(monkeypatch)

    cli(*words)

    asked = tuple(dict.fromkeys(recorder.asked))
    assert asked[: len(verb.asks)] == verb.asks
