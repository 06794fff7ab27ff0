"""No key gets out, in whatever form, whole or in pieces."""

from __future__ import annotations

import base64
import io
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.models.host.redact import CleanStream, Pieces, Redactor

KEY = 'sk-canary/0123+4567"89=='
ACCOUNT = json.dumps(
    {
        "client_email": "me@example.org",
        "private_key": "-----BEGIN PRIVATE KEY-----\n" + "QUJD" * 16 + "\n" + "REVG" * 16 + "\n",
    }
)


def knowing(*keys: str) -> Redactor:
    redactor = Redactor()
    for key in keys:
        redactor.learn(key)
    return redactor


@pytest.mark.parametrize(
    "form",
    [KEY, quote(KEY, safe=""), json.dumps(KEY)[1:-1], base64.b64encode(KEY.encode()).decode()],
)
def test_each_form_of_a_key_is_taken_out(form: str) -> None:
    cleaned = knowing(KEY).clean(f"before {form} after")

    assert cleaned == "before [redacted] after"


def test_each_secret_part_of_a_service_account_is_taken_out() -> None:
    redactor = knowing(ACCOUNT)

    assert redactor.clean("REVG" * 16) == "[redacted]"
    assert "QUJD" not in redactor.clean(json.dumps(json.loads(ACCOUNT)["private_key"]))
    assert redactor.clean("me@example.org") == "me@example.org"


def test_what_is_too_short_for_a_key_blots_out_no_words() -> None:
    assert knowing("the").clean("the end of the day") == "the end of the day"


def test_the_log_loses_what_only_looks_like_a_secret_too() -> None:
    assert knowing().for_logs("Bearer abc") == "[redacted]"


def test_a_stream_is_cleaned_before_it_is_written() -> None:
    sink = io.StringIO()
    stream = CleanStream(sink, knowing(KEY))

    stream.write(f"one {KEY}\n")
    stream.writelines(["two ", KEY])

    assert sink.getvalue() == "one [redacted]\ntwo [redacted]"


@given(
    st.lists(st.sampled_from([KEY, KEY[:7], KEY[5:], "s", "sk-", "word ", "\n"]), max_size=12),
    st.data(),
)
def test_pieces_say_the_same_as_the_whole_and_never_a_key(parts: list[str], data: st.DataObject):
    text = "".join(parts)
    redactor = knowing(KEY)
    pieces = Pieces(redactor)
    shown = ""
    while text:
        size = data.draw(st.integers(1, len(text)))
        piece, text = text[:size], text[size:]
        shown += pieces.add(piece)
        assert KEY not in shown
    shown += pieces.end()

    assert KEY not in shown
    assert shown == redactor.clean("".join(parts))


def test_what_looks_like_a_secret_in_a_header_is_one():
    redactor = Redactor()
    for header in ("Bearer tok-0123456789abcdef", "application/json", "house-of-herons-and-gulls"):
        redactor.learn_from(header)

    text = "tok-0123456789abcdef application/json house-of-herons-and-gulls Bearer"
    assert redactor.clean(text) == "[redacted] application/json house-of-herons-and-gulls Bearer"


def test_temporary_credentials_are_secret_in_their_parts():
    parts = {"AccessKeyId": "ASIA", "SecretAccessKey": "s" * 20, "SessionToken": "t" * 20}
    for found in (parts, {"Credentials": parts}):
        redactor = knowing(json.dumps(found, indent=2))
        assert redactor.clean(f"{'s' * 20} and {'t' * 20}, of ASIA") == (
            "[redacted] and [redacted], of ASIA"
        )
