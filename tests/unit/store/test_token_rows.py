"""Tokens in the store: found at once, never given out twice, and told of in the audit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.changing import ANN

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.acting import act_as
from ironclaw.domain.audit import AuditEvent, By, Via
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import MAX_TOKENS, Scope, Token, hash_of
from ironclaw.store.token_rows import USE_KEPT_MS, TokenRows
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.tokens import TokenStore
    from ironclaw.testing.fakes_store import CoreStore

OLD = {
    "version": 1,
    "tokens": [
        {
            "id": "tok_old",
            "name": "laptop",
            "scopes": ["chat", "read"],
            "created_ms": 5,
            "expires_ms": None,
            "revoked_ms": None,
            "hash": hash_of("icl_old"),
        },
        {
            "id": "tok_gone",
            "name": "lost",
            "scopes": ["admin"],
            "created_ms": 6,
            "expires_ms": 70,
            "revoked_ms": 7,
            "hash": hash_of("icl_gone"),
        },
    ],
}


@pytest.fixture
def clock(core: CoreStore) -> ManualClock:
    assert isinstance(core.clock, ManualClock)
    return core.clock


@pytest.fixture
async def tokens(core: CoreStore) -> TokenRows:
    return await TokenRows.open(core.store, core.clock)


async def read_only(tokens: TokenStore, name: str, principal: PrincipalId | None = None):
    """Mint one; also proof that the class is what the edges ask for."""
    return await tokens.mint(name=name, scopes=[Scope.READ], ttl_s=None, principal=principal)


async def test_a_token_is_there_after_a_restart_field_by_field(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        tokens = await TokenRows.open(core.store, core.clock)
        plain = await read_only(tokens, "bot")
        minted = await tokens.mint(
            name="desk", scopes=[Scope.CHAT, Scope.APPROVE], ttl_s=60, principal=ANN
        )
        made_ms = core.clock.now_ms()
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        again = await TokenRows.open(core.store, core.clock)
        assert await again.tokens() == [plain.token, minted.token]
        assert again.find(minted.secret) == minted.token
    assert minted.token == Token(
        id=minted.token.id,
        name="desk",
        principal=ANN,
        scopes=frozenset({Scope.CHAT, Scope.APPROVE}),
        created_ms=made_ms,
        expires_ms=made_ms + 60_000,
        hash=hash_of(minted.secret),
    )
    assert plain.token.principal == "api:bot"


async def test_the_store_holds_no_secret(core: CoreStore, tokens: TokenRows):
    minted = await read_only(tokens, "bot")

    rows = await core.store.read(lambda db: str(list(db.execute("SELECT * FROM token"))))

    assert minted.token.hash in rows
    assert minted.secret not in rows


async def test_only_the_right_secret_finds_a_token_and_only_while_it_is_active(
    tokens: TokenRows, clock: ManualClock
):
    minted = await tokens.mint(name="bot", scopes=[Scope.READ], ttl_s=10)
    assert tokens.find(minted.secret) == minted.token
    assert tokens.find(minted.secret + "x") is None
    assert tokens.find("\ud800") is None

    clock.advance(10)

    assert tokens.find(minted.secret) is None


async def test_a_revoked_token_is_void_at_once_and_for_good(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        tokens = await TokenRows.open(core.store, core.clock)
        minted, other = await read_only(tokens, "bot"), await read_only(tokens, "desk")

        ended = await tokens.revoke("bot")

        assert tokens.find(minted.secret) is None
        assert await tokens.revoke(ended.id) == ended
        await tokens.revoke(other.token.id)
        with pytest.raises(UserError) as caught:
            await tokens.revoke("nobody")
        assert caught.value.code is Code.NOT_FOUND
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        again = await TokenRows.open(core.store, core.clock)
        assert again.find(minted.secret) is None
        assert again.find(other.secret) is None
        assert (await again.tokens())[0] == ended


async def test_who_made_and_ended_a_token_is_in_the_audit(core: CoreStore, tokens: TokenRows):
    with act_as(By(ANN, Via.API)):
        minted = await tokens.mint(name="bot", scopes=[Scope.READ, Scope.CHAT], ttl_s=None)
        await tokens.revoke("bot")
        await tokens.revoke("bot")

    made, ended = await core.audit.tail(limit=100)

    assert (made.event, ended.event) == (AuditEvent.TOKEN_MINTED, AuditEvent.TOKEN_REVOKED)
    for record in (made, ended):
        assert (record.actor, record.token, record.name, record.principal) == (
            ANN, minted.token.id, "bot", "api:bot",
        )  # fmt: skip
    assert made.words == ("chat", "read")


@pytest.mark.parametrize("is_revoked", [False, True])
async def test_a_name_is_never_given_out_twice(tokens: TokenRows, is_revoked: bool):
    await read_only(tokens, "bot")
    if is_revoked:
        await tokens.revoke("bot")

    for principal in (None, ANN):
        with pytest.raises(UserError) as caught:
            await read_only(tokens, "bot", principal)
        assert caught.value.code is Code.CONFLICT
    assert len(await tokens.tokens()) == 1


async def test_nobody_gets_somebodys_principal_by_choosing_a_name(tokens: TokenRows):
    await read_only(tokens, "laptop", ANN)

    with pytest.raises(UserError) as caught:
        await read_only(tokens, "ann")

    assert caught.value.code is Code.CONFLICT
    assert (await read_only(tokens, "phone", ANN)).token.principal == ANN


async def test_of_two_at_once_one_gets_the_name(core: CoreStore, tokens: TokenRows):
    results = await asyncio.gather(
        *(read_only(tokens, "bot") for _ in range(5)), return_exceptions=True
    )

    assert sum(isinstance(one, UserError) for one in results) == 4
    assert len(await tokens.tokens()) == 1
    assert len(await core.audit.tail(limit=100)) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"name": "A"}, {"scopes": []}, {"ttl_s": 0}, {"principal": PrincipalId("agent:agt_a")}],
)
async def test_what_no_token_can_be_is_refused(tokens: TokenRows, wrong: dict[str, object]):
    wish: dict[str, object] = {"name": "bot", "scopes": [Scope.READ], "ttl_s": None}

    with pytest.raises(UserError) as caught:
        await tokens.mint(**(wish | wrong))  # type: ignore[arg-type]

    assert caught.value.code is Code.INVALID
    assert await tokens.tokens() == []


async def test_there_is_an_end_to_tokens(core: CoreStore, tokens: TokenRows):
    await core.store.write(
        lambda db: db.execute(
            "WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter"
            " WHERE n < ?) INSERT INTO token (id, name, principal, scopes, hash, created_ms)"
            " SELECT n, n, n, '[]', n, n FROM counter",
            (MAX_TOKENS,),
        )
    )

    with pytest.raises(UserError) as caught:
        await read_only(tokens, "bot")

    assert caught.value.code is Code.CONFLICT


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE token SET scopes = '[\"admin\"]'",
        "UPDATE token SET principal = 'api:eve'",
        "UPDATE token SET hash = 'x'",
        "UPDATE token SET expires_ms = NULL",
        "UPDATE token SET revoked_ms = NULL",
        "DELETE FROM token",
    ],
)
async def test_a_token_cannot_be_made_another(core: CoreStore, tokens: TokenRows, statement: str):
    await tokens.mint(name="bot", scopes=[Scope.READ], ttl_s=5)
    await tokens.revoke("bot")

    with pytest.raises(HostError):
        await core.store.write(lambda db: db.execute(statement))


async def test_scopes_that_cannot_be_read_are_a_corrupt_store(core: CoreStore):
    await core.store.write(
        lambda db: db.execute(
            "INSERT INTO token (id, name, principal, scopes, hash, created_ms)"
            " VALUES ('t', 't', 'api:t', '[\"everything\"]', 'x', 1)"
        )
    )

    with pytest.raises(HostError) as caught:
        await TokenRows.open(core.store, core.clock)

    assert caught.value.code is Code.STORE_CORRUPT


# --- times of use ---------------------------------------------------------------------------------


async def kept_use(core: CoreStore, token: Token) -> int | None:
    """What a core that starts now would know."""
    return (await TokenRows.open(core.store, core.clock)).last_used_ms(token.id)


async def test_the_last_use_is_kept_at_most_once_an_hour(
    core: CoreStore, tokens: TokenRows, clock: ManualClock
):
    minted = await read_only(tokens, "bot")
    assert tokens.last_used_ms(minted.token.id) is None
    first = clock.now_ms()
    tokens.find(minted.secret)
    assert tokens.last_used_ms(minted.token.id) == first
    assert await kept_use(core, minted.token) is None
    await tokens.write_uses()
    assert await kept_use(core, minted.token) == first

    clock.advance(USE_KEPT_MS / 1000 - 1)
    tokens.find(minted.secret)
    await tokens.write_uses()
    assert tokens.last_used_ms(minted.token.id) == clock.now_ms()
    assert await kept_use(core, minted.token) == first

    clock.advance(1)
    tokens.find(minted.secret)
    await tokens.write_uses()
    assert await kept_use(core, minted.token) == clock.now_ms()


async def test_uses_are_written_in_the_background(
    core: CoreStore, tokens: TokenRows, clock: ManualClock
):
    minted = await read_only(tokens, "bot")
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(tokens.keep_uses())
        tokens.find(minted.secret)
        async with asyncio.timeout(5):
            while await kept_use(core, minted.token) is None:
                pass
        keeping.cancel()
    assert await kept_use(core, minted.token) == clock.now_ms()


async def test_a_token_that_is_not_active_is_not_used(tokens: TokenRows):
    minted = await read_only(tokens, "bot")
    await tokens.revoke("bot")

    tokens.find(minted.secret)

    assert tokens.last_used_ms(minted.token.id) is None


# --- the file of before ---------------------------------------------------------------------------


async def test_the_file_of_before_is_taken_over_once(core: CoreStore, tmp_path: Path):
    path = tmp_path / "tokens.json"
    path.write_bytes(msgspec.json.encode(OLD))

    tokens = await TokenRows.open(core.store, core.clock, old_file=path)

    old, gone = await tokens.tokens()
    assert tokens.find("icl_old") == old
    assert (old.id, old.principal, old.scopes) == (
        "tok_old", "api:laptop", {Scope.CHAT, Scope.READ},
    )  # fmt: skip
    assert (gone.id, gone.expires_ms, gone.revoked_ms) == ("tok_gone", 70, 7)
    assert tokens.find("icl_gone") is None
    assert not path.exists()
    assert (tmp_path / "tokens.json.imported").exists()
    with pytest.raises(UserError):
        await read_only(tokens, "lost")


async def test_a_file_that_turns_up_later_gives_nobody_anything(core: CoreStore, tmp_path: Path):
    path = tmp_path / "tokens.json"
    tokens = await TokenRows.open(core.store, core.clock, old_file=path)
    minted = await read_only(tokens, "bot")
    path.write_bytes(msgspec.json.encode(OLD))

    again = await TokenRows.open(core.store, core.clock, old_file=path)

    assert await again.tokens() == [minted.token]
    assert again.find("icl_old") is None
    assert not path.exists()


async def test_a_crash_before_the_file_is_put_aside_is_made_good(core: CoreStore, tmp_path: Path):
    path = tmp_path / "tokens.json"
    path.write_bytes(msgspec.json.encode(OLD))
    await TokenRows.open(core.store, core.clock, old_file=path)
    (tmp_path / "tokens.json.imported").rename(path)

    tokens = await TokenRows.open(core.store, core.clock, old_file=path)

    assert [token.id for token in await tokens.tokens()] == ["tok_old", "tok_gone"]
    assert not path.exists()


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff\x00", b'{"version":1,"tokens":[{"x":1}]}'])
async def test_a_damaged_file_is_an_error_and_stays_as_it_is(
    core: CoreStore, tmp_path: Path, raw: bytes
):
    path = tmp_path / "tokens.json"
    path.write_bytes(raw)

    with pytest.raises(HostError) as caught:
        await TokenRows.open(core.store, core.clock, old_file=path)

    assert caught.value.code is Code.STORE_CORRUPT
    assert caught.value.hint
    assert path.read_bytes() == raw


async def test_a_new_principal_is_nobody_who_was_given_a_role(core: CoreStore, tokens: TokenRows):
    await core.registry.give(PrincipalId("api:heir"), Role.OWNER, None)

    with pytest.raises(UserError) as caught:
        await tokens.mint(name="heir", scopes=[Scope.ADMIN], ttl_s=None)

    assert caught.value.code is Code.CONFLICT
    assert "heir" not in {one.name for one in await tokens.tokens()}
