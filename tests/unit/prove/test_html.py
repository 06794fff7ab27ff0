"""The page needs nothing but itself, says all of the report, and lets no outcome act."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.proofs import FakeStage, check, report

from ironclaw.core.sanitize import sanitize
from ironclaw.prove.model import Need
from ironclaw.prove.report.html import page
from ironclaw.prove.report.html_style import STYLE
from ironclaw.prove.report.markup import Html, joined, prose, tag, text
from ironclaw.prove.runner import Choice

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</code></bdi></td></table><h1>PASS",
    "\x1b[2J\u202egnp.exe\u200b\x00",
    "&lt;b&gt; &amp;",
    "' onmouseover='alert(1)",
    "`<b>`",
)


class Outline(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "input"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"script", "style"}:
            self.words += data


def outline(source: str) -> Outline:
    return Outline(source)


@pytest.mark.parametrize("words", HOSTILE)
def test_an_outcome_is_shown_and_does_nothing(words: str) -> None:
    one = check()
    plain = outline(page(report({one: "x"}, {one: "y"})))

    seen = outline(page(report({one: words}, {one: words})))

    assert [name for name, _ in seen.elements] == [name for name, _ in plain.elements]
    assert [attributes for _, attributes in seen.elements] == [
        attributes for _, attributes in plain.elements
    ]
    assert seen.words.count(sanitize(words)) >= 2


@pytest.mark.parametrize("words", HOSTILE)
def test_no_field_of_a_report_becomes_markup(words: str) -> None:
    """Claims and controls are ours, and escaped all the same."""
    one = check(claim=words, attack=words, control=words, expected=frozenset({words}))
    alone = check("files.alone", claim=words, why_no_twin=words)

    seen = outline(page(report({one: "reached", alone: "reached"}, {one: "refused"})))

    assert {name for name, _ in seen.elements} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "script"),
        *("h1", "h2", "p", "div", "dl", "dt", "dd", "span", "strong", "code", "bdi", "section"),
        *("table", "thead", "tbody", "tr", "th", "td", "button", "input"),
    }
    assert [name for name, _ in seen.elements].count("script") == 1
    assert not any(key.startswith("on") for _, found in seen.elements for key in found)


@given(st.text(max_size=60))
def test_any_text_can_be_an_outcome(words: str) -> None:
    one = check()

    seen = outline(page(report({one: words}, {one: words})))

    assert seen.unbalanced == []
    assert sanitize(words) in seen.words


def test_the_page_asks_for_nothing() -> None:
    source = page(report({check(): "refused"}, {check(): "reached"}))

    seen = outline(source)

    assert not {key for _, found in seen.elements for key in found} & {"src", "href", "srcset"}
    assert not {name for name, _ in seen.elements} & {"link", "img", "iframe", "object", "base"}
    assert "url(" not in source
    assert "@import" not in source
    assert not any("style" in found for _, found in seen.elements)


def test_its_policy_allows_its_own_script_and_style_alone() -> None:
    source = page(report({check(): "refused"}))
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', source)[0])

    assert "default-src 'none'" in policy
    for kind in ("script", "style"):
        content = re.findall(rf"<{kind}>(.*?)</{kind}>", source, re.DOTALL)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    # It comes before what it is about.
    assert source.index("Content-Security-Policy") < source.index("<style>")


def test_each_row_says_claim_attack_control_outcome_and_twin() -> None:
    one = check("network.reach")
    alone = check("files.alone", why_no_twin="gVisor has no switch for it")

    words = outline(
        page(report({one: "refused", alone: "refused"}, {one: "was let through"}))
    ).words

    for said in (
        *("network.reach", "A box reaches nothing.", "connect to what listens", "the wall"),
        *("refused", "was let through", "the wall, the moat", "gVisor has no switch for it"),
        *("2 of 2 checks held", "1 of 1 twins caught", "Proven"),
        *("not enforced on this host", "agents share one range of host ids"),
    ):
        assert said in words
    assert "NOT PROVEN" not in words


def test_what_failed_comes_first() -> None:
    outcomes = {
        check("spec.fine"): "refused",
        check("network.fine"): "refused",
        check("network.open"): "reached",
        check("network.broken"): "error: it broke",
        check("files.missed"): "refused",
    }
    twins = dict.fromkeys(outcomes, "reached") | {check("files.missed"): "refused"}

    words = outline(page(report(outcomes, twins))).words

    order = ["network.open", "network.broken", "network.fine", "files.missed", "spec.fine"]
    assert sorted(order, key=words.index) == order
    assert "NOT PROVEN" in words
    assert "expected: refused" in words
    assert "could not be tried" in words


def test_a_part_is_not_called_the_whole_in_banner_and_title() -> None:
    one, slow = check("network.reach"), check("network.slow", is_slow=True)
    stages = [FakeStage(one, slow)]

    source = page(report({one: "refused"}, choice=Choice(quick=True), stages=stages))

    seen = outline(source).words
    assert seen.count("1 of 2 checks (quick: 1 slow left out)") == 3
    assert "IronClaw: containment partly proven, 1 of 2 checks" in source
    assert "Partly proven" in seen
    assert "network.slow" in seen


def test_a_deeper_layer_is_not_shown_as_a_gain() -> None:
    words = outline(page(report({check(): "refused"}, {check(): "EIO"}))).words

    assert "1 of 1 twins caught (0 went through, 1 answered by a deeper layer)" in words
    assert "deeper layer EIO" in words
    assert "then: the moat" in words


def test_without_twins_no_row_has_a_place_for_one() -> None:
    assert "Its twin" not in outline(page(report({check(): "refused"}))).words
    assert "Its twin" in outline(page(report({check(): "refused"}, {check(): "reached"}))).words


def test_what_is_not_enforced_here_is_a_link_within_the_page() -> None:
    capped = check("resources.memory", needs=Need.CGROUPS)
    missing = Choice(missing=frozenset({Need.CGROUPS}))

    seen = outline(
        page(report({check(): "refused"}, choice=missing, stages=[FakeStage(check(), capped)]))
    )

    (link,) = [found["href"] for name, found in seen.elements if name == "a"]
    assert link == "#not-enforced-on-this-host"
    assert [found["id"] for _, found in seen.elements if found.get("id") == link[1:]]


def test_a_badge_is_not_broken_in_its_middle() -> None:
    (rule,) = re.findall(r"^\.mark \{.*?\}", STYLE, re.DOTALL | re.MULTILINE)

    assert "white-space: nowrap" in rule


def test_twins_alone_have_a_page_too() -> None:
    words = outline(page(report(None, {check(): "reached"}))).words

    assert "1 of 1 twins caught" in words
    assert "checks held" not in words


def test_without_twins_the_page_says_how_to_have_them() -> None:
    assert "ironclaw prove --twins" in outline(page(report({check(): "refused"}))).words


def test_every_element_is_closed() -> None:
    assert outline(page(report({check(): "refused"}, {check(): "reached"}))).unbalanced == []


def test_markup_is_what_tag_made_and_no_other_text() -> None:
    assert tag("p", "<b>", tag("code", "&")) == "<p>&lt;b&gt;<code>&amp;</code></p>"
    assert tag("p", class_='"x"', data_of="y") == '<p class="&quot;x&quot;" data-of="y"></p>'
    assert joined(Html("<b>") + "<i>") == "&lt;b&gt;&lt;i&gt;"
    assert text("a\u202eb") == "a\\u202eb"
    assert prose("a `b<` c") == "a <code>b&lt;</code> c"
    assert prose("one ` alone") == "one ` alone"
