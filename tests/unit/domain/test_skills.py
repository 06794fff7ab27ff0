"""What a skill is: its folder read, bounded and named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.errors import UserError
from ironclaw.domain.skills import MAX_PATH, digest_of, manifest, read

HEAD = "---\nname: birds\ndescription: Tell birds apart.\n"


def entry(more: str = "", body: str = "Listen.\n") -> dict[str, bytes]:
    return {"SKILL.md": f"{HEAD}{more}---\n{body}".encode()}


def code(tree: dict[str, bytes]) -> str:
    with pytest.raises(UserError) as caught:
        read(tree)
    assert caught.value.hint
    return caught.value.code.value


def test_all_that_the_field_writes_is_read() -> None:
    skill = read(
        entry(
            "license: MIT\ncompatibility: any\nallowed-tools: Read, Bash(git diff:*) read_file\n"
            "metadata:\n  author: ann\n  version: '1'\n"
        )
        | {"references/songs.md": b"tic", "scripts/run.py": b"print(1)"}
    )
    assert (skill.name, skill.description, skill.license) == ("birds", "Tell birds apart.", "MIT")
    assert skill.asks == ("Read", "Bash(git diff:*)", "read_file")
    assert skill.metadata == {"author": "ann", "version": "1"}
    assert [one.path for one in skill.files] == [
        "SKILL.md",
        "references/songs.md",
        "scripts/run.py",
    ]
    assert skill.text.endswith("Listen.\n")


@pytest.mark.parametrize(
    "value", ["[Read, Bash]", "Read Bash", "Read,Bash,Read", "\n  - Read\n  - Bash"]
)
def test_tools_are_a_list_however_written(value: str) -> None:
    assert read(entry(f"allowed-tools: {value}\n")).asks == ("Read", "Bash")


@pytest.mark.parametrize("name", ["Birds", "-a", "a-", "a--b", "a b", "../a", "a" * 65, "", "ä"])
def test_names_are_names(name: str) -> None:
    tree = {"SKILL.md": f'---\nname: "{name}"\ndescription: x\n---\n'.encode()}
    assert code(tree) in {"invalid", "too_large"}


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"skill.md": b"---\nname: a\ndescription: b\n---\n"},
        {"SKILL.md": b"no head"},
        {"SKILL.md": b"---\nname: a\n---\n"},
        {"SKILL.md": b"---\nname: a\ndescription: b\ncolour: red\n---\n"},
        {"SKILL.md": b"---\nname: [a]\ndescription: b\n---\n"},
        {"SKILL.md": b"---\nname: a\ndescription: b\nmetadata: c\n---\n"},
        {"SKILL.md": b"\xff\xfe"},
        {"SKILL.md": b"---\r\nname: a\r\n---\r\n"},
        {"SKILL.md": entry()["SKILL.md"] + b"\0"},
        entry() | {"skill.MD": b""},
        entry() | {"a": b"", "a/b": b""},
        entry() | {"SKILL.sig": b""},
        entry() | {"skill.SIG": b""},
    ],
)
def test_what_is_no_skill_is_refused(tree: dict[str, bytes]) -> None:
    assert code(tree) == "invalid"


@pytest.mark.parametrize(
    "path",
    [
        "../x", "/x", "a/../b", "a//b", "./a", ".hidden", "a/.git/x", "a\0b", "a\nb", "a b",
        "\u202ea", "a/", "", "x" * 101, "/".join("a" * 9), "y" * 90 + "/" + "y" * 90, "a\\b",
        "-rf", "~a", "ä",
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(path: str) -> None:
    assert code(entry() | {path: b""}) == "invalid"


def test_sizes_have_ends() -> None:
    assert code(entry() | {"big": b"x" * (8 * 1024 * 1024)}) == "too_large"
    assert code(entry() | {f"f{n}": b"" for n in range(512)}) == "too_large"
    assert code(entry(body="x" * 50_000)) == "too_large"
    assert code(entry(body="x\n" * 950)) == "too_large"
    assert code(entry(f"license: {'x' * 600}\n")) == "too_large"
    assert (
        code(entry("allowed-tools: " + " ".join(f"t{n}" for n in range(40)) + "\n")) == "too_large"
    )


@given(
    st.dictionaries(
        st.from_regex(r"\A[a-z]{1,5}(/[a-z]{1,5})?\Z"), st.binary(max_size=9), max_size=4
    ),
    st.dictionaries(
        st.from_regex(r"\A[a-z]{1,5}(/[a-z]{1,5})?\Z"), st.binary(max_size=9), max_size=4
    ),
)
def test_a_digest_names_one_folder(one: dict[str, bytes], two: dict[str, bytes]) -> None:
    assert (digest_of(manifest(one)) == digest_of(manifest(two))) is (one == two)


def test_the_digest_is_a_fixed_one() -> None:
    """Signatures that people have must stay valid: the form of a manifest never changes."""
    assert read(entry()).digest == (
        "sha256:8f3ed6fb0128b15264ee98840a827b3f8dff005c95dbd5b79f2f92710f16605f"
    )
    assert MAX_PATH <= 155
