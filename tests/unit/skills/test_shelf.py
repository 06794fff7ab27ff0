"""Skills that a house keeps: who vouches for them, and what happens when one is altered."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.domain.skills import MAX_SKILLS, read
from ironclaw.skills.packing import Packed
from ironclaw.skills.shelf import Shelf
from ironclaw.skills.signing import keygen, read_key, sign, signer

if TYPE_CHECKING:
    from pathlib import Path

PEM, KEY = keygen()
OTHER_PEM, OTHER_KEY = keygen()


def tree(name: str = "birds", body: str = "Listen.") -> dict[str, bytes]:
    head = f"---\nname: {name}\ndescription: Tell birds apart.\n---\n{body}\n"
    return {"SKILL.md": head.encode(), "songs/robin.txt": b"tic"}


def signed(files: dict[str, bytes], pem: bytes = PEM) -> Packed:
    return Packed(files, sign(read(files).files, read_key(pem)))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "skills", trusted=[KEY], by_digest=False)


def open_shelf(tmp_path: Path, *keys: str, by_digest: bool = False) -> Shelf:
    return Shelf(tmp_path / "skills", trusted=keys, by_digest=by_digest)


def test_a_signed_skill_is_kept_once_for_all_to_read_and_nobody_to_write(
    shelf: Shelf, tmp_path: Path
) -> None:
    kept = shelf.keep(signed(tree()), now_ms=5)
    again = shelf.keep(signed(tree()), now_ms=6)
    assert (kept.signer, kept.is_trusted, again.digest) == (KEY, True, kept.digest)
    assert [one.digest for one in shelf.kept()] == [kept.digest]
    files = shelf.verified(kept.digest)
    assert files.parent.parent == tmp_path / "skills"
    assert files.parent.name == kept.digest.removeprefix("sha256:")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files.rglob("*")}
    assert modes == {"SKILL.md": 0o444, "songs": 0o755, "robin.txt": 0o444}
    assert sorted(path.name for path in files.parent.iterdir()) == ["files", "kept.json"]


@pytest.mark.parametrize(
    "packed",
    [
        Packed(tree(), b""),
        signed(tree(), OTHER_PEM),
        signed(tree())._replace(tree=tree(body="Do as I say.")),
        signed(tree())._replace(tree=tree() | {"more.txt": b""}),
        signed(tree())._replace(signature=b"{}"),
        signed(tree())._replace(signature=b"x" * 5000),
        signed(tree())._replace(signature=json.dumps({"key": KEY, "signature": "AAAA"}).encode()),
        signed(tree())._replace(signature=json.dumps({"key": "AAAA", "signature": KEY}).encode()),
    ],
    ids=["unsigned", "unknown", "altered", "more", "empty", "long", "forged", "no-key"],
)
def test_what_nobody_trusted_has_signed_is_refused(shelf: Shelf, packed: Packed) -> None:
    with pytest.raises(PolicyError):
        shelf.keep(packed, now_ms=5)
    assert shelf.kept() == ()


def test_people_vouch_for_digests_where_the_house_lets_them(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path, by_digest=True)
    kept = shelf.keep(Packed(tree(), b""), now_ms=5)
    assert (kept.signer, kept.is_trusted) == ("", True)
    # A wrong signature is none that anybody vouches for.
    with pytest.raises(PolicyError):
        shelf.keep(signed(tree())._replace(tree=tree("other")), now_ms=5)
    (seen,) = open_shelf(tmp_path).kept()
    assert not seen.is_trusted


def test_a_key_that_is_trusted_no_longer_shows_nothing(shelf: Shelf, tmp_path: Path) -> None:
    kept = shelf.keep(signed(tree()), now_ms=5)
    assert shelf.verified(kept.digest)
    with pytest.raises(HostError, match="not trusted any more"):
        open_shelf(tmp_path, OTHER_KEY).verified(kept.digest)


def alter(files: Path, how: str) -> None:
    target = files / "songs" / "robin.txt"
    match how:
        case "content":
            target.chmod(0o644)
            target.write_bytes(b"toc")
        case "gone":
            target.unlink()
        case "more":
            (files / "extra.md").write_text("Do as I say.")
        case "link":
            target.unlink()
            target.symlink_to("/etc/passwd")
        case "entry":
            (files / "SKILL.md").chmod(0o644)
            (files / "SKILL.md").write_bytes(tree(body="Do as I say.")["SKILL.md"])
        case "manifest":
            kept = files.parent / "kept.json"
            kept.write_bytes(kept.read_bytes().replace(b"robin", b"raven"))


@pytest.mark.parametrize("how", ["content", "gone", "more", "link", "entry", "manifest"])
def test_a_skill_that_was_altered_is_shown_to_nobody(shelf: Shelf, how: str) -> None:
    kept = shelf.keep(signed(tree()), now_ms=5)
    alter(shelf.verified(kept.digest), how)
    with pytest.raises(HostError) as caught:
        shelf.verified(kept.digest)
    assert caught.value.code == "host_unsuited"
    # Importing it again puts it right.
    shelf.keep(signed(tree()), now_ms=6)
    assert read_back(shelf, kept.digest) == b"tic"


def read_back(shelf: Shelf, digest: str) -> bytes:
    return (shelf.verified(digest) / "songs/robin.txt").read_bytes()


class Careless(Shelf):
    """The weakened twin: it hashes nothing again."""

    def is_same(self, files: Path, digest: str) -> bool:
        del files, digest
        return True


def test_without_hashing_again_nobody_would_see_it(shelf: Shelf, tmp_path: Path) -> None:
    kept = shelf.keep(signed(tree()), now_ms=5)
    alter(shelf.verified(kept.digest), "content")
    twin = Careless(tmp_path / "skills", trusted=[KEY], by_digest=False)
    assert read_back(twin, kept.digest) == b"toc"


def test_what_does_not_fit_together_is_not_offered(shelf: Shelf, tmp_path: Path) -> None:
    kept = shelf.keep(signed(tree()), now_ms=5)
    other = shelf.keep(signed(tree("fish")), now_ms=5)
    alter(shelf.verified(kept.digest), "entry")
    (tmp_path / "skills" / "notes").write_text("of somebody")
    assert [one.digest for one in shelf.kept()] == [other.digest]


def test_the_newest_of_a_name_comes_first(shelf: Shelf) -> None:
    old = shelf.keep(signed(tree()), now_ms=5)
    new = shelf.keep(signed(tree(body="Listen twice.")), now_ms=6)
    assert [one.digest for one in shelf.kept()] == [new.digest, old.digest]


def test_a_house_keeps_so_many(tmp_path: Path) -> None:
    shelf = open_shelf(tmp_path, by_digest=True)
    for number in range(MAX_SKILLS):
        shelf.keep(Packed(tree(f"s{number}"), b""), now_ms=5)
    with pytest.raises(UserError, match="at most"):
        shelf.keep(Packed(tree("one-more"), b""), now_ms=5)
    shelf.drop(shelf.kept()[0].digest)
    shelf.keep(Packed(tree("one-more"), b""), now_ms=5)


def test_what_is_not_there_is_said(shelf: Shelf) -> None:
    assert shelf.kept() == ()
    shelf.drop("sha256:" + "0" * 64)
    with pytest.raises(HostError):
        shelf.verified("sha256:" + "0" * 64)


def test_a_signature_is_over_this_purpose_alone() -> None:
    files = read(tree()).files
    assert signer(files, b"") == ""
    assert signer(files, sign(files, read_key(PEM))) == KEY


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_a_file_that_is_no_key_is_refused(pem: bytes) -> None:
    with pytest.raises(UserError):
        read_key(pem)
