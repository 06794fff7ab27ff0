"""What an input reached: lines of ours, one after the other, and places in SQLite.

Python's tracing gives the lines. Of the C code beneath, msgspec's errors say what was wanted
and what was there, and SQLite's log the line of its source at which it found a database damaged.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw
import msgspec

import ironclaw.airlock
import ironclaw_contract

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

    from _typeshed import TraceFunction

    from ironclaw.testing.fuzz.targets import Target

Feature = tuple[str, int, int]
"""A step from one line of a file to another, or a word with two zeros."""

_WATCHED: Final = tuple(
    str(Path(package.__path__[0])) for package in (ironclaw.airlock, ironclaw_contract)
)
_FOREIGN: Final = re.compile(r"\([^()]*\)|\"[^\"]*\"|\S*[.:\d]\S*|near \S+|option .*|.*\bin\b.*")
_NAMED: Final = re.compile(r" - at .*|field `.*|value .*|\d+", re.DOTALL)
_OWN: Final = re.compile(r"[a-z -]{4,60}")
_PLACE: Final = re.compile(r"at line (\d+) of")


class Reach:
    """Collects features while it is entered. One at a time in a process."""

    def __init__(self) -> None:
        self.features: set[Feature] = set()

    def __enter__(self) -> Self:
        self.features = set()
        # SQLite quotes the attacker's bytes, which the binding cannot always make text of.
        self._hook, sys.unraisablehook = sys.unraisablehook, _ignore
        apsw.config(apsw.SQLITE_CONFIG_LOG, self._logged)
        sys.settrace(self._called)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sys.settrace(None)
        apsw.config(apsw.SQLITE_CONFIG_LOG, None)
        sys.unraisablehook = self._hook

    def of(self, target: Target, data: bytes) -> frozenset[Feature]:
        """Run one input and return what it reached. Raises what the target raises."""
        with self:
            word = target.run(data)
        return frozenset(self.features | {(word, 0, 0)})

    def _called(self, frame: FrameType, _event: str, _argument: object) -> TraceFunction | None:
        name = frame.f_code.co_filename
        if not name.startswith(_WATCHED):
            return None
        last = 0

        def stepped(frame: FrameType, event: str, argument: object) -> TraceFunction:
            nonlocal last
            if event == "line":
                self.features.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            elif event == "exception":
                self._raised(argument)
            return stepped

        return stepped

    def _raised(self, argument: object) -> None:
        match argument:
            # Says what was wanted and what was there: the view into the decoder's C code.
            case (_, msgspec.MsgspecError() as error, _):
                self.features.add((_NAMED.sub("", str(error))[:120], 0, 0))
            case _:
                pass

    def _logged(self, code: int, message: str) -> None:
        place = _PLACE.search(message)
        if place is not None:
            self.features.add(("sqlite", code, int(place[1])))
        else:
            # The words without the attacker's own.
            words = _FOREIGN.sub("", message.partition(" in ")[0].partition(";")[0])
            if _OWN.fullmatch(words):
                self.features.add((" ".join(words.split()), code, 0))


def _ignore(_what: object) -> None:
    pass
