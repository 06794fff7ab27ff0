"""The nouns: values, of which one must not show what is in it."""

from __future__ import annotations

from ironclaw.domain.model import Event, Upload


def test_what_is_in_a_file_is_in_no_log():
    upload = Upload(name="secret.txt", data=b"secret")
    event = Event(
        channel="api",
        platform_id="p",
        handle="ann",
        sender="Ann",
        text="look",
        external_id="1",
        files=(upload,),
    )

    assert repr(upload) == "Upload(6 bytes)"
    assert "secret" not in repr(event)
