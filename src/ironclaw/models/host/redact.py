"""Takes keys out of text: whole, in the forms that they take, and across the pieces of a stream."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Final, TextIO
from urllib.parse import quote, quote_plus

from ironclaw.core.log import REDACTED, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LEAST_IN_HEADER: Final = 16
_LEAST: Final = 8
"""Characters of the shortest text that is looked for: what is shorter would blot out words."""


_SECRET_PARTS: Final = (
    *("private_key", "client_secret", "refresh_token"),
    *("SecretAccessKey", "SessionToken"),
)


class Redactor:
    """Knows the keys of this process."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def learn(self, key: str) -> None:
        """Take a key out of everything from now on."""
        forms = {form for form in _forms(key) if len(form) >= _LEAST}
        # The longest first: a shorter one may be a part of it.
        with self._lock:  # some are learnt where a library waits, in a thread
            self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))

    def learn_from(self, header: str) -> None:
        """Take what may be a secret in a header of the configuration out of everything.

        There should be none; but who puts one there does not find it in a box.
        """
        for word in header.split():
            if len(word) >= _LEAST_IN_HEADER and any(letter.isdigit() for letter in word):
                self.learn(word)

    def clean(self, text: str) -> str:
        """A text without any key."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, REDACTED)
        return text

    def for_logs(self, text: str) -> str:
        """The same, and without what only looks like a secret."""
        return redact(self.clean(text))

    def held_back(self, text: str) -> int:
        """How many characters at the end of a clean text may be the beginning of a key."""
        most = max(map(len, self._forms), default=1) - 1
        for start in range(max(0, len(text) - most), len(text)):
            tail = text[start:]
            if any(form.startswith(tail) for form in self._forms):
                return len(text) - start
        return 0


class Pieces:
    """Cleans a text that comes in pieces: what may be the beginning of a key waits for the next."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._kept = ""

    def add(self, text: str) -> str:
        """Take a piece; return what may be shown by now."""
        whole = self._redactor.clean(self._kept + text)
        held = self._redactor.held_back(whole)
        self._kept = whole[len(whole) - held :]
        return whole[: len(whole) - held]

    def end(self) -> str:
        """What was kept back: the text is over."""
        kept, self._kept = self._kept, ""
        return kept


class CleanStream:
    """A text stream whose every write is cleaned: stands in for `sys.stderr`."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def write(self, text: str) -> int:
        """Write it cleaned."""
        self._stream.write(self._redactor.for_logs(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write them cleaned."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Never: lines are for the log."""
        return False


def _forms(key: str) -> Iterator[str]:
    yield key
    yield quote(key, safe="")
    yield quote_plus(key)
    yield json.dumps(key)[1:-1]
    yield base64.b64encode(key.encode()).decode()
    if not key.startswith("{"):
        return
    # A service account, or temporary credentials: the parts that are secret by themselves.
    try:
        parts = json.loads(key)
    except (ValueError, RecursionError):
        return
    if isinstance(parts, dict) and isinstance(inner := parts.get("Credentials"), dict):
        parts = inner
    for name in _SECRET_PARTS:
        value = parts.get(name) if isinstance(parts, dict) else None
        if isinstance(value, str):
            yield from (value, json.dumps(value)[1:-1])
            yield from (line for line in value.splitlines() if len(line) > 32)  # noqa: PLR2004
