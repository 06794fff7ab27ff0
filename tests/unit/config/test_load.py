from __future__ import annotations

from pathlib import Path

import pytest

import ironclaw
from ironclaw.config.load import find_config, load_settings, variable_names
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError


def refusal(path: Path, text: str) -> UserError:
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_settings(path, environ={}, uid=0)
    assert caught.value.code is Code.CONFIG_INVALID
    assert caught.value.hint
    return caught.value


def test_without_file_and_environment_root_gets_the_fhs_directories(tmp_path: Path) -> None:
    settings = load_settings(environ={"HOME": str(tmp_path)}, uid=0)

    assert str(settings.state_dir) == "/var/lib/ironclaw"
    assert str(settings.runtime_dir) == "/run/ironclaw"
    assert settings.image_dir == settings.state_dir
    assert (settings.api.host, settings.api.port) == ("127.0.0.1", 8787)


def test_an_ordinary_user_gets_the_xdg_directories(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path), "HOME": "/nowhere", "TMPDIR": "/tmp"}

    settings = load_settings(environ=environ, uid=1234)

    assert settings.state_dir == tmp_path / "ironclaw"
    assert str(settings.runtime_dir) == "/tmp/ironclaw-1234"


def test_the_file_that_is_read_can_be_named(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}
    path = tmp_path / "ironclaw" / "config.toml"
    path.parent.mkdir()
    path.write_text("[api]\nport = 8790\n")

    assert find_config(environ=environ, uid=1000) == path
    assert load_settings(environ=environ, uid=1000).api.port == 8790
    assert find_config(environ=environ, uid=0) != path


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[api]\nport = 1\n[sandbox]\nidle_stop_s = 60\n[log]\nlevel = "debug"\n')
    environ = {
        "IRONCLAW_API_PORT": "2",
        "IRONCLAW_API_TCP": "false",
        "IRONCLAW_API_ALLOWED_HOSTS": "a.example,b.example",
    }

    settings = load_settings(path, environ=environ, uid=0)

    assert (settings.api.port, settings.api.tcp) == (2, False)
    assert settings.api.allowed_hosts == ("a.example", "b.example")
    assert (settings.sandbox.idle_stop_s, settings.log.level) == (60.0, "debug")


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("[api]\n\nprot = 3\n", ":3:", "'port'"),
        ("[sandbx]\n", ":1:", "'sandbox'"),
        ("[sandbox]\nidle_stop = 3\n", ":2:", "'idle_stop_s'"),
        ("[log]\n[api]\nhots = 'x'\n", ":3:", "'host'"),
        ("api.prot = 1\n", ":1:", "'port'"),
        ("[api]\nport = 'x'\n", ":2:", "configuration.md"),
        ("[api]\nport = 70000\n", ":2:", "configuration.md"),
        ("[api]\ntcp = 1\n", ":2:", "configuration.md"),
        ("[sandbox]\nplatform = 'kvmm'\n", ":2:", "configuration.md"),
        ("[api\nport = 3\n", ":1:", "line"),
        ("api = 3\n", ":1:", "[api]"),
    ],
)
def test_a_mistake_is_named_with_line_and_remedy(
    tmp_path: Path, text: str, place: str, hint: str
) -> None:
    error = refusal(tmp_path / "config.toml", text)

    assert place in error.message
    assert hint in error.hint


def test_a_typo_in_the_environment_is_named_too() -> None:
    with pytest.raises(UserError) as caught:
        load_settings(environ={"IRONCLAW_API_PROT": "1"}, uid=0)

    assert "IRONCLAW_API_PORT" in caught.value.hint


def test_a_wrong_value_in_the_environment_names_the_variable() -> None:
    with pytest.raises(UserError) as caught:
        load_settings(environ={"IRONCLAW_API_PORT": "many"}, uid=0)

    assert "$IRONCLAW_API_PORT" in caught.value.message


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - refused here
def test_an_address_that_others_reach_must_be_asked_for(tmp_path: Path, host: str) -> None:
    path = tmp_path / "config.toml"
    refusal(path, f'[api]\nhost = "{host}"\n')
    path.write_text(f'[api]\nhost = "{host}"\nallow_remote = true\n')

    assert load_settings(path, environ={}, uid=0).api.host == host


@pytest.mark.parametrize("value", ["relative", "/x" * 40])
def test_a_runtime_directory_that_cannot_hold_sockets_is_refused(
    tmp_path: Path, value: str
) -> None:
    refusal(tmp_path / "config.toml", f'[paths]\nruntime_dir = "{value}"\n')


def test_a_named_file_must_exist_and_be_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no configuration file"):
        load_settings(tmp_path / "none.toml", environ={}, uid=0)
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\x00")
    with pytest.raises(UserError, match="cannot be read"):
        load_settings(path, environ={}, uid=0)


def test_no_setting_holds_a_secret() -> None:
    words = ("token", "secret", "password", "credential")

    assert [name for name in variable_names() for word in words if word in name.lower()] == []


def test_every_setting_has_an_effect_somewhere() -> None:
    """A setting that nobody reads would be a lie."""
    root = Path(ironclaw.__file__).parent
    sources = "\n".join(
        path.read_text() for path in root.rglob("*.py") if path.parent.name != "testing"
    )

    for section, name in variable_names().values():
        assert f".{name}" in sources.replace(f"{section}.{name}.", ""), f"{section}.{name}"
