"""The engine: durable groups, work that fails alone, files that are refused untouched."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import apsw
import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.store.engine import Store
from ironclaw.store.migrations import MIGRATIONS
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

KEY = bytes(range(32))


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def put(value: str):
    return lambda db: db.execute("INSERT INTO sticky VALUES (?, '')", (value,))


def rows(db: apsw.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT wiring FROM sticky ORDER BY wiring")]


async def test_what_was_written_is_there_after_opening_again(tmp_path: Path):
    async with await Store.open(tmp_path / "store.db", KEY) as store:
        await store.write(put("a"))
    async with await Store.open(tmp_path / "store.db", KEY) as store:
        assert await store.read(rows) == ["a"]


async def test_work_that_fails_undoes_itself_and_nothing_else_of_its_group(tmp_path: Path):
    def half(db: apsw.Connection) -> None:
        put("half")(db)
        raise ValueError("mine")

    async with await Store.open(tmp_path / "store.db", KEY) as store:
        block = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            good = [group.create_task(store.write(put(f"g{n}"))) for n in range(20)]
            bad = group.create_task(swallow(store.write(half)))
            block.set()
        assert len(good) == 20
        assert isinstance(bad.result(), ValueError)
        assert await store.read(rows) == sorted(f"g{n}" for n in range(20))


async def swallow(work: Awaitable[object]) -> Exception | None:
    try:
        await work
    except ValueError as error:
        return error
    return None


async def test_a_read_sees_every_write_that_has_returned(tmp_path: Path):
    async with await Store.open(tmp_path / "store.db", KEY) as store:
        for number in range(50):
            await store.write(put(f"{number:03}"))
            assert len(await store.read(rows)) == number + 1


async def test_a_reader_cannot_write(tmp_path: Path):
    async with await Store.open(tmp_path / "store.db", KEY) as store:
        with pytest.raises(HostError) as caught:
            await store.read(put("x"))
        assert caught.value.code is Code.STORE_FAILED


async def test_a_closed_store_says_so(tmp_path: Path):
    store = await Store.open(tmp_path / "store.db", KEY)
    await store.close()
    await store.close()
    with pytest.raises(HostError) as caught:
        await store.write(put("x"))
    assert caught.value.code is Code.UNAVAILABLE


async def test_another_key_is_refused_and_the_file_stays_as_it_was(tmp_path: Path):
    path = tmp_path / "store.db"
    async with await Store.open(path, KEY) as store:
        await store.write(put("a"))
    before = path.read_bytes()
    with pytest.raises(HostError) as caught:
        await Store.open(path, secrets.token_bytes(32))
    assert caught.value.code is Code.STORE_CORRUPT
    assert caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("page", [0, 1, 5])
async def test_one_flipped_byte_is_found_at_start_and_nothing_is_changed(tmp_path: Path, page: int):
    path = tmp_path / "store.db"
    async with await Store.open(path, KEY) as store:
        await store.write(put("a"))
    damaged = bytearray(path.read_bytes())
    damaged[page * 4096 + 1000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(HostError) as caught:
        await Store.open(path, KEY)
    assert caught.value.code is Code.STORE_CORRUPT
    assert path.read_bytes() == damaged


async def test_a_store_that_lost_its_content_is_not_made_anew(tmp_path: Path):
    path = tmp_path / "store.db"
    async with await Store.open(path, KEY):
        pass
    path.write_bytes(b"")
    with pytest.raises(HostError) as caught:
        await Store.open(path, KEY)
    assert caught.value.code is Code.STORE_CORRUPT
    assert path.read_bytes() == b""


async def test_a_first_start_that_was_cut_short_goes_on(tmp_path: Path):
    (tmp_path / "store.db").touch(mode=0o600)
    (tmp_path / "store.db-new").touch(mode=0o600)
    async with await Store.open(tmp_path / "store.db", KEY) as store:
        await store.write(put("a"))
    assert not (tmp_path / "store.db-new").exists()


async def test_a_newer_schema_is_refused(tmp_path: Path):
    async with await Store.open(tmp_path / "store.db", KEY) as store:
        await store.write(lambda db: db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}"))
    with pytest.raises(HostError) as caught:
        await Store.open(tmp_path / "store.db", KEY)
    assert caught.value.code is Code.STORE_FAILED
    assert "newer" in caught.value.message


async def test_a_link_in_place_of_the_store_is_refused(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store.db").symlink_to(tmp_path / "elsewhere" / "store.db")
    with pytest.raises(HostError) as caught:
        await Store.open(tmp_path / "store.db", KEY)
    assert caught.value.code is Code.STORE_FAILED


async def test_the_files_are_private_and_hold_no_plaintext(tmp_path: Path):
    secret = "the-quick-brown-fox-7391"
    async with open_core_store(tmp_path) as core:
        talk = await core.begin(name="plain-agent-name")
        await talk.hear(secret)
        seen = files_below(tmp_path)
        assert {"store.db", "store.db-wal"} <= {path.name for path in seen}
        for path in seen:
            assert path.stat().st_mode & 0o077 == 0, path
            content = path.read_bytes()
            assert secret.encode() not in content
            assert b"plain-agent-name" not in content
            assert core.custodian.key(talk.session) not in content


async def test_content_is_sealed_inside_the_encrypted_file_as_well(tmp_path: Path):
    async with open_core_store(tmp_path) as core:
        talk = await core.begin()
        await talk.hear("inner secret")
        (sealed,) = await core.store.read(
            lambda db: db.execute("SELECT sealed FROM message").fetchone()
        )
        assert b"inner secret" not in sealed


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_work_that_stops_in_the_middle_of_its_rows_keeps_no_snapshot(
    tmp_path: Path, kind: str
):
    """Later reads see later writes, whichever connection did the work."""

    def stop_early(db: apsw.Connection) -> None:
        for (wiring,) in db.execute("SELECT wiring FROM sticky ORDER BY wiring"):
            db.execute("SELECT 1 FROM sticky WHERE wiring = ?", (wiring,)).fetchone()
            break

    async with await Store.open(tmp_path / "store.db", KEY) as store:
        for name in "abcd":
            await store.write(put(name))
        for _ in range(4):
            await getattr(store, kind)(stop_early)
        await store.write(put("e"))

        seen = [await store.read(rows) for _ in range(4)]

    assert seen == [list("abcde")] * 4
