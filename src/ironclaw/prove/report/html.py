"""The report of a proof as one page that needs nothing else: no network, no file beside it.

`page` puts it together from parts of `markup`, so no text of a report becomes markup. The page's
own policy lets run nothing but the one script and style here, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final

from ironclaw.prove.model import ERROR, Effect
from ironclaw.prove.report.html_style import SCRIPT, STYLE
from ironclaw.prove.report.markup import Html, joined, prose, tag
from ironclaw.prove.report.words import caught, effects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.prove.report.model import CheckRow, Report, TwinRow

_FAILED: Final = "!"
"""What the filter's button for failed checks asks for; no group has that name."""
_NOT_HERE: Final = "not-enforced-on-this-host"
"""Where the banner leads."""
_WIDE: Final = 40
"""Letters of a fact that gets a line of its own."""


def page(report: Report) -> str:
    """Make the page."""
    groups = _groups(report)
    body = tag(
        "body",
        tag("header", tag("h1", "Proof of containment"), _verdict(report), _machine(report)),
        tag(
            "main",
            tag("p", _how(report), class_="how"),
            _filter(report),
            tag("p", "Nothing matches.", id="none", hidden=""),
            *groups,
            *(_twins_alone(report.twin_rows or ()) if report.rows is None else ()),
            *_not_here(report),
            *_left_out(report),
            *_without_twin(report),
        ),
        tag(
            "footer",
            tag("p", "Made by ", tag("code", "ironclaw prove"), "; run it on your own machine."),
        ),
        tag("script", Html(SCRIPT)),
    )
    return f'<!doctype html>\n<html lang="en">\n{_head(report)}\n{body}\n</html>\n'


def _head(report: Report) -> Html:
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"IronClaw: containment {report.verdict}, {report.extent}"),
        tag("style", Html(STYLE)),
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def _verdict(report: Report) -> Html:
    parts = [tag("span", report.extent)]
    if report.rows is not None:
        held = len(report.rows) - len(report.failures)
        parts.append(tag("span", f"{held} of {len(report.rows)} checks held"))
    if report.twin_rows is not None:
        seen = len(report.twin_rows) - len(report.missed)
        said = f"{seen} of {len(report.twin_rows)} twins caught ({effects(report)})"
        parts.append(tag("span", said))
    if report.not_enforced_here:
        said = f"{len(report.not_enforced_here)} not enforced on this host"
        parts.append(tag("a", said, href=f"#{_NOT_HERE}"))
    tone = "bad" if not report.proven else "part" if report.partial else "good"
    word = report.verdict[0].upper() + report.verdict[1:]
    return tag("div", tag("strong", word), *parts, class_=f"verdict {tone}")


def _machine(report: Report) -> Html:
    facts = report.machine | {
        "took": f"{report.took_s:g} s",
        "extent": report.extent,
    }
    rows = [
        tag("div", tag("dt", name), tag("dd", value), class_="wide" if len(value) > _WIDE else "")
        for name, value in facts.items()
    ]
    return tag("dl", *rows, class_="facts")


def _how(report: Report) -> str:
    said = (
        "Each row is a claim, the attack that was carried out on a real sandbox to break it, the "
        "control that has to stop it, and what came of it. "
    )
    if report.twin_rows is None:
        return said + "Twins were not run: ironclaw prove --twins --html FILE adds them."
    return said + (
        "Its twin is the same attack on a copy without that control: there the check must fail, "
        "or it proves nothing. Caught means that the attack went through there; deeper layer, that "
        "it was not the control but something behind it that answered, with that error."
    )


def _filter(report: Report) -> Html:
    names = list(report.groups) if report.rows is not None else []
    has_failed = bool(report.failures or report.missed)
    choices = [("", "all"), *([(_FAILED, "failed")] if has_failed else [])]
    choices += [(name, name) for name in names]
    buttons = [
        tag(
            "button",
            word,
            type="button",
            data_only=value,
            aria_pressed="true" if value == "" else "false",
        )
        for value, word in choices
    ]
    find = tag(
        "input", type="search", placeholder="Find a word", aria_label="Show rows with this word"
    )
    return tag("div", *buttons, find, class_="filter", role="group", aria_label="Filter", hidden="")


def _groups(report: Report) -> list[Html]:
    """The groups, those with something to worry about first; in each, those rows first."""
    twins = {row.check: row for row in report.twin_rows or ()}
    failed = {row.name for row in report.failures}
    missed = {row.check for row in report.missed}

    def worry(row: CheckRow) -> int:
        return -2 if row.name in failed else -1 if row.name in missed else 0

    sections = []
    for group in report.groups:
        rows = sorted((row for row in report.rows or () if row.group == group), key=worry)
        sections.append((worry(rows[0]), _group(group, rows, twins)))
    return [section for _worry, section in sorted(sections, key=lambda pair: pair[0])]


def _group(name: str, rows: Sequence[CheckRow], twins: dict[str, TwinRow]) -> Html:
    held = sum(row.passed for row in rows)
    missed = sum(row.name in twins and not twins[row.name].caught for row in rows)
    count = tag(
        "span",
        f"{held} of {len(rows)} held" + (f", {missed} not caught in their twins" if missed else ""),
        class_="count bad" if missed or held < len(rows) else "count",
    )
    heads = [("Result", "result"), ("Claim and attack", ""), ("Control", "control")]
    heads.append(("Outcome", "outcome"))
    if twins:
        heads.append(("Its twin", "twin"))
    shown = [_check(row, twins.get(row.name), with_twin=bool(twins)) for row in rows]
    return _section(name, count, _table(heads, shown))


def _check(row: CheckRow, twin: TwinRow | None, *, with_twin: bool) -> Html:
    mark = _mark("PASS", "good") if row.passed else _mark("FAIL", "bad")
    outcome = [tag("p", _outcome(row.outcome))]
    if row.measured:
        outcome.append(tag("p", row.numbers, class_="small"))
    if not row.passed:
        outcome.append(tag("p", f"expected: {' or '.join(row.expected)}", class_="small"))
    control = [tag("p", row.control)]
    if row.then:
        control.append(tag("p", f"then: {', '.join(row.then)}", class_="small"))
    if not row.passed:
        word = "could not be tried" if row.outcome.startswith(ERROR) else "did not hold"
        control.append(tag("p", word, class_="small"))
    is_bad = not row.passed or (twin is not None and not twin.caught)
    return _row(
        [
            ("", mark),
            ("", _claim(row)),
            ("Control", joined(*control)),
            ("Outcome", joined(*outcome)),
            *([("Its twin", _twin(row, twin))] if with_twin else []),
        ],
        is_bad=is_bad,
    )


def _claim(row: CheckRow) -> Html:
    return joined(
        tag("p", prose(row.claim)),
        tag("p", tag("code", row.name), " attacked by: ", prose(row.attack), class_="small"),
    )


def _twin(row: CheckRow, twin: TwinRow | None) -> Html:
    if twin is not None:
        return joined(
            tag("p", _caught(twin), " ", _outcome(twin.outcome)),
            tag("p", f"without {', '.join(twin.removed)}", class_="small"),
        )
    if row.why_no_twin:
        return tag("p", _mark("none", "warn"), " ", prose(row.why_no_twin), class_="small")
    return tag("p", "not run", class_="small")


def _caught(twin: TwinRow) -> Html:
    tone = "warn" if twin.effect is Effect.DEEPER else "good"
    return _mark(caught(twin), tone if twin.caught else "bad")


def _twins_alone(rows: Sequence[TwinRow]) -> list[Html]:
    heads = [("Result", "result"), ("Check", "name"), ("Without", ""), ("Outcome", "")]
    shown = [
        _row(
            [
                ("", _caught(row)),
                ("", tag("code", row.check)),
                ("Without", tag("p", ", ".join(row.removed))),
                ("Outcome", _outcome(row.outcome)),
            ],
            is_bad=not row.caught,
        )
        for row in sorted(rows, key=lambda row: row.caught)
    ]

    count = tag("span", f"{len(rows)} twins", class_="count")
    return [_section("twins", count, _table(heads, shown))]


def _not_here(report: Report) -> list[Html]:
    if not report.not_enforced_here and not report.weaker:
        return []
    heads = [("", "result"), ("Claim", ""), ("Control", "control"), ("Needs", "twin")]
    rows = [
        _row(
            [
                ("", _mark("absent", "warn")),
                (
                    "",
                    joined(
                        tag("p", prose(row.claim)), tag("p", tag("code", row.name), class_="small")
                    ),
                ),
                ("Control", tag("p", row.control)),
                ("Needs", tag("p", row.needs)),
            ]
        )
        for row in report.not_enforced_here
    ]
    rows += [
        _row([("", _mark("weaker", "warn")), ("", tag("p", words)), ("", Html()), ("", Html())])
        for words in report.weaker
    ]
    count = tag("span", "what this host does not offer was not attacked", class_="count")
    return [_section(_NOT_HERE.replace("-", " "), count, _table(heads, rows), id=_NOT_HERE)]


def _left_out(report: Report) -> list[Html]:
    if not report.left_out:
        return []
    rows = [_row([("", tag("code", name))]) for name in report.left_out]
    count = tag("span", f"{len(rows)} slow checks were not run", class_="count")
    return [_section("left out by --quick", count, _table([("Check", "")], rows))]


def _without_twin(report: Report) -> list[Html]:
    if not report.without_twin:
        return []
    rows = [
        _row([("", tag("code", row.name)), ("Why", tag("p", prose(row.why)))])
        for row in report.without_twin
    ]
    count = tag("span", f"{len(rows)} checks that nothing here shows to fail", class_="count")
    return [_section("without a twin", count, _table([("Check", "name"), ("Why", "")], rows))]


def _section(name: str, count: Html, content: Html, **more: str) -> Html:
    head = tag("div", tag("h2", name), count, class_="head")
    return tag("section", head, content, data_group=name, aria_label=name, **more)


def _table(heads: Sequence[tuple[str, str]], rows: Sequence[Html]) -> Html:
    # The roles keep it a table for a screen reader when a narrow screen shows it as blocks.
    cells = [
        tag(
            "th",
            word,
            scope="col",
            role="columnheader",
            **({"class_": f"w-{width}"} if width else {}),
        )
        for word, width in heads
    ]
    return tag(
        "table",
        tag("thead", tag("tr", *cells, role="row"), role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        role="table",
    )


def _row(cells: Sequence[tuple[str, Html]], *, is_bad: bool = False) -> Html:
    shown = [
        tag("td", cell, role="cell", **({"data_label": label} if label else {}))
        for label, cell in cells
    ]
    return tag("tr", *shown, role="row", **({"class_": "failed"} if is_bad else {}))


def _mark(word: str, tone: str) -> Html:
    return tag("span", word, class_=f"mark {tone}")


def _outcome(said: str) -> Html:
    # Isolated: letters that are written from right to left move nothing around them.
    return tag("bdi", tag("code", said, class_="outcome"))
