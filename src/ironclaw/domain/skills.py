"""Skills: what a folder of instructions and data is, and what it is named by. Pure.

read(tree)        a folder's files -> what its `SKILL.md` says, checked, with its manifest
digest_of(files)  the name of exactly these files: what is signed, approved and shown to boxes

A skill is never code that runs by itself: nothing in it has an execute bit, and the directory it is
shown in lets no program run.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.front_matter import Value, split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENTRY: Final = "SKILL.md"
"""The file that says what a skill is."""
NAME_RULE: Final = r"\A[a-z0-9](?:-?[a-z0-9])*\Z"
DIGEST_RULE: Final = r"\Asha256:[0-9a-f]{64}\Z"
MAX_NAME: Final = 64
MAX_DESCRIPTION: Final = 1024
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_FILES: Final = 512
MAX_SKILLS: Final = 64
"""Of one agent, and kept by one house."""
MAX_ENTRY_BYTES: Final = 48 * 1024
"""Of `SKILL.md`."""
MAX_SHOWN_LINES: Final = 900
"""Files and lines of `SKILL.md` together: whoever decides is shown each of them."""
MAX_DEPTH: Final = 8
MAX_PATH: Final = 150
"""Characters: what one header of an archive holds, wherever it is cut."""
SIGNATURE: Final = "SKILL.sig"
"""What a packed skill has its signature in; no file of a skill is named so."""
_MAX_WORDS: Final = 500
"""Characters of a license or of what it is compatible with."""
_MAX_TOOLS: Final = 32
_PART: Final = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z")
"""One component of a path: nothing hidden, nothing that misleads."""
_TOOL: Final = re.compile(r"[^\s,()]+(?:\([^()]*\))?")
_DOMAIN: Final = b"ironclaw skill v1\n"
_KNOWN: Final = frozenset(
    {"name", "description", "license", "compatibility", "allowed-tools", "metadata"}
)


class SkillFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One file of a skill."""

    path: str
    size: int
    sha256: str
    """In hexadecimal digits."""


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A skill as its folder says it."""

    name: str
    description: str
    license: str = ""
    compatibility: str = ""
    asks: tuple[str, ...] = ()
    """Tools that it would use (`allowed-tools`). It gets none by that."""
    metadata: dict[str, str] = {}
    files: tuple[SkillFile, ...]
    """By path."""
    text: str
    """Its whole `SKILL.md`."""
    digest: str


class KeptSkill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill that was imported, as the house keeps it."""

    folder: Folder
    signer: str = ""
    """The public key that signed it, in base64; empty when nobody did."""
    is_trusted: bool
    """Whether the settings trust that key, or let people vouch for digests themselves."""
    kept_ms: int

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.name

    @property
    def digest(self) -> str:
        """`sha256:…` of its files and their names."""
        return self.folder.digest


def read(tree: Mapping[str, bytes]) -> Folder:
    """Understand a folder.

    Args:
        tree: Contents of its files, by path.

    Raises:
        UserError: `INVALID` or `TOO_LARGE`: what is wrong with it.

    Trust:
        All of it is foreign. What is read of it is `SKILL.md`, after its size was checked.
    """
    _check_sizes(tree)
    _check_paths(tree)
    return understand(_entry(tree), manifest(tree))


def understand(text: str, files: tuple[SkillFile, ...]) -> Folder:
    """The same, of a `SKILL.md` and the manifest that it is in. Raises UserError (`INVALID`)."""
    fields, _ = split(text)
    unknown = sorted(fields.keys() - _KNOWN)
    if unknown:
        raise _invalid(
            f"SKILL.md has the field {unknown[0][:64]!a}, which no skill has.",
            hint=f"There are: {', '.join(sorted(_KNOWN))}. Put others into `metadata`.",
        )
    name = _words(fields, "name", MAX_NAME)
    if re.match(NAME_RULE, name) is None:
        raise _invalid(
            "SKILL.md gives no name, or one that no skill can have.",
            hint="a-z and 0-9, with single `-` between them, at most 64 characters.",
        )
    description = _words(fields, "description", MAX_DESCRIPTION)
    if not description:
        raise _invalid("SKILL.md has no description.", hint="Say what it is for, and when.")
    return Folder(
        name=name,
        description=description,
        license=_words(fields, "license", _MAX_WORDS),
        compatibility=_words(fields, "compatibility", _MAX_WORDS),
        asks=_asks(fields.get("allowed-tools", "")),
        metadata=_metadata(fields.get("metadata", "")),
        files=files,
        text=text,
        digest=digest_of(files),
    )


def manifest(tree: Mapping[str, bytes]) -> tuple[SkillFile, ...]:
    """What a folder holds, by path."""
    return tuple(
        SkillFile(path, len(data), hashlib.sha256(data).hexdigest())
        for path, data in sorted(tree.items())
    )


def canonical(files: Sequence[SkillFile]) -> bytes:
    """The one form of a manifest: what a signature is over."""
    return _DOMAIN + msgspec.json.encode(files)


def digest_of(files: Sequence[SkillFile]) -> str:
    """`sha256:…` of a manifest."""
    return "sha256:" + hashlib.sha256(canonical(files)).hexdigest()


def _check_sizes(tree: Mapping[str, bytes]) -> None:
    size = sum(map(len, tree.values()))
    if len(tree) > MAX_FILES or size > MAX_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"The skill has {len(tree)} files of {size} bytes together.",
            hint=f"A skill has at most {MAX_FILES} files and {MAX_BYTES} bytes.",
        )


def _check_paths(tree: Mapping[str, bytes]) -> None:
    folded: dict[str, str] = {}
    for path in tree:
        check_path(path)
        if path.casefold() == SIGNATURE.casefold():
            raise _invalid(f"{SIGNATURE} is no file of a skill.", hint="Take it away, then sign.")
        if (other := folded.setdefault(path.casefold(), path)) != path:
            raise _invalid(
                f"{other!a} and {path!a} differ in upper and lower case alone.",
                hint="Rename one of them.",
            )
    for path in tree:
        if any(f"{path}/" == other[: len(path) + 1] for other in tree):
            raise _invalid(f"{path!a} is a file and a directory.", hint="Rename one of them.")


def check_path(path: str) -> None:
    """Refuse a path that leads elsewhere, or hides. Raises UserError (`INVALID`)."""
    parts = path.split("/")
    if len(path) > MAX_PATH or len(parts) > MAX_DEPTH or not all(map(_PART.match, parts)):
        raise _invalid(
            f"A skill cannot have a file named {path[:MAX_PATH]!a}.",
            hint="Names have letters, digits, `_`, `-`, `+` and `.`; none begins with a sign; at "
            f"most {MAX_DEPTH} make a path of at most {MAX_PATH} characters.",
        )


def _entry(tree: Mapping[str, bytes]) -> str:
    raw = tree.get(ENTRY)
    if raw is None:
        raise _invalid(f"There is no {ENTRY}.", hint="A skill is a folder with one in it.")
    return clean(raw, beside=len(tree))


def clean(raw: bytes, *, beside: int) -> str:
    """The text of a `SKILL.md`. Raises UserError (`INVALID`, `TOO_LARGE`).

    Args:
        raw: Its bytes.
        beside: How many files the skill has.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or "\r" in text:
        raise _invalid(
            f"{ENTRY} is not clean text.", hint="Save it as UTF-8, with line feeds alone."
        )
    lines = text.count("\n") + 1 + beside
    if len(raw) > MAX_ENTRY_BYTES or lines > MAX_SHOWN_LINES:
        raise UserError(
            Code.TOO_LARGE,
            f"{ENTRY} has {len(raw)} bytes, and {lines} lines with the names of all files.",
            hint=f"Whoever decides on a skill has to read it: at most {MAX_ENTRY_BYTES} bytes and "
            f"{MAX_SHOWN_LINES} lines. Put details into files beside it.",
        )
    return text


def _words(fields: Mapping[str, Value], name: str, most: int) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise _invalid(f"{name} in SKILL.md is not one text.", hint="Write it on one line.")
    # A field is one line, however it was set.
    words = " ".join(value.split())
    if len(words) > most:
        raise UserError(
            Code.TOO_LARGE,
            f"{name} in SKILL.md has {len(words)} characters.",
            hint=f"It has at most {most}.",
        )
    return words


def _asks(value: Value) -> tuple[str, ...]:
    if isinstance(value, dict):
        raise _invalid("allowed-tools in SKILL.md is a table.", hint="Write a list.")
    found = list(value) if isinstance(value, list) else _TOOL.findall(value)
    if len(found) > _MAX_TOOLS or any(len(one) > MAX_PATH for one in found):
        raise UserError(
            Code.TOO_LARGE,
            "allowed-tools in SKILL.md is too long.",
            hint=f"It names at most {_MAX_TOOLS} tools.",
        )
    return tuple(dict.fromkeys(one for one in found if one))


def _metadata(value: Value) -> dict[str, str]:
    if value == "":
        return {}
    if not isinstance(value, dict):
        raise _invalid("metadata in SKILL.md is no table.", hint="Write `  name: value` lines.")
    return value


def _invalid(message: str, *, hint: str) -> UserError:
    return UserError(Code.INVALID, message, hint=hint)
