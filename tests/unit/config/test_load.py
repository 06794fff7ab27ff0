from __future__ import annotations

from pathlib import Path

import pytest

import ironclaw
from ironclaw.config.environment import variable, variable_names
from ironclaw.config.file import find_config
from ironclaw.config.kinds import LISTS, TABLES, is_list, is_table
from ironclaw.config.load import load_directories, load_settings
from ironclaw.config.settings import SECTIONS
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


@pytest.mark.parametrize(
    ("word", "value", "within"),
    [
        ("SANDBOX_MAX_BOXES", "0", "at least 1 and at most 10000"),
        ("SANDBOX_MAX_BOXES", "99999", "at least 1 and at most 10000"),
        ("SANDBOX_IDLE_STOP_S", "0.5", "at least 1 and at most 604800"),
        ("SANDBOX_FREEZE_AFTER_S", "0", "at least 0.1 and at most 604800"),
        ("CONVERSATION_FILES_BYTES", str(2**41), "at least 0 and at most 1099511627776"),
    ],
)
def test_a_number_out_of_bounds_is_told_both(word: str, value: str, within: str) -> None:
    with pytest.raises(UserError) as caught:
        load_settings(environ={f"IRONCLAW_{word}": value}, uid=0)

    assert f"is {value!r}, which is wrong: it must be {within}." in caught.value.message


def test_a_number_out_of_bounds_in_the_file_is_told_both_too(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[api]\nport = 70000\n")

    with pytest.raises(UserError) as caught:
        load_settings(path, environ={}, uid=0)

    told = f"{path}:2: api.port is 70000, which is wrong: it must be at least 0 and at most 65535."
    assert caught.value.message == told


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


def refused(environ: dict[str, str], config: Path | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        load_settings(config, environ=environ, uid=0)
    assert caught.value.code is Code.CONFIG_INVALID
    assert "\n" not in caught.value.hint
    return caught.value


@pytest.mark.parametrize("pair", LISTS)
def test_a_list_in_the_environment_has_commas(pair: tuple[str, str]) -> None:
    section, name = pair
    word, items = variable(section, name), LISTS[pair]
    texts = (",".join(items), " , ".join(items))

    found = [load_settings(environ={word: text}, uid=0) for text in texts]

    for settings in found:
        assert tuple(map(str, getattr(getattr(settings, section), name))) == items


def test_every_list_and_every_table_has_an_example_that_works(tmp_path: Path) -> None:
    pairs = {
        (section, name) for section, struct in SECTIONS.items() for name in struct.__struct_fields__
    }
    assert set(LISTS) == {pair for pair in pairs if is_list(*pair)}
    assert set(TABLES) == {pair for pair in pairs if is_table(*pair)}

    path = tmp_path / "config.toml"
    path.write_text("".join(f"{one}\n" for one in TABLES.values()))

    assert load_settings(path, environ={}, uid=0).models.providers["local"].base_url


def test_an_empty_variable_is_the_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[gateway]\nmount_roots = ["/srv"]\n')

    found = load_settings(path, environ={"IRONCLAW_GATEWAY_MOUNT_ROOTS": ""}, uid=0)

    assert found.gateway.mount_roots == ()


def test_a_host_in_brackets_is_no_list_in_brackets() -> None:
    found = load_settings(environ={"IRONCLAW_API_ALLOWED_HOSTS": "[::1],[::2]"}, uid=0)

    assert found.api.allowed_hosts == ("[::1]", "[::2]")


@pytest.mark.parametrize("text", ['["a.example"]', "['a', 'b']", '"a","b"', "[]", "a,,b", "a,"])
def test_a_list_written_otherwise_is_refused_with_one_that_works(text: str) -> None:
    error = refused({"IRONCLAW_API_ALLOWED_HOSTS": text})

    assert "$IRONCLAW_API_ALLOWED_HOSTS" in error.message
    assert repr(text) in error.message
    assert "list of text" in error.hint
    assert "IRONCLAW_API_ALLOWED_HOSTS=claw.example.org,claw.example.net" in error.hint


def test_a_wrong_item_is_shown_as_it_was_read() -> None:
    error = refused({"IRONCLAW_SKILLS_TRUSTED_KEYS": "abc,def"})

    assert "$IRONCLAW_SKILLS_TRUSTED_KEYS: skills.trusted_keys is ['abc', 'def']" in error.message
    assert "IRONCLAW_SKILLS_TRUSTED_KEYS=dpLD" in error.hint


@pytest.mark.parametrize(
    ("word", "value", "hint"),
    [
        ("IRONCLAW_API_PORT", "many", "an integer, such as: IRONCLAW_API_PORT=8787"),
        ("IRONCLAW_API_TCP", "maybe", "true or false, such as: IRONCLAW_API_TCP=true"),
        ("IRONCLAW_API_REPLY_S", "x", "a number, such as: IRONCLAW_API_REPLY_S=600.0"),
        ("IRONCLAW_LOG_FORM", "xml", "`json` or `text`, such as: IRONCLAW_LOG_FORM=json"),
    ],
)
def test_a_wrong_variable_is_told_what_it_takes(word: str, value: str, hint: str) -> None:
    error = refused({word: value})

    assert repr(value) in error.message
    assert hint in error.hint


def test_a_variable_is_named_also_where_the_file_has_the_setting_too(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[api]\nport = 8790\n")

    assert "$IRONCLAW_API_PORT" in refused({"IRONCLAW_API_PORT": "many"}, path).message


@pytest.mark.parametrize("word", ["IRONCLAW_MODELS_PROVIDERS", "IRONCLAW_MODELS_PROVIDERS_A_KEY"])
def test_a_table_in_the_environment_is_sent_to_the_file(word: str) -> None:
    error = refused({word: "sk-very-secret"})

    assert word in error.message
    assert "models.providers.local = {" in error.hint
    assert "sk-very-secret" not in error.message + error.hint


def test_a_list_and_a_table_in_the_file_have_examples_too(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"

    one = refusal(path, '[api]\nallowed_hosts = "a,b"\n')
    other = refusal(path, '[models]\nproviders = "sk-very-secret"\n')

    assert "'a,b'" in one.message
    assert 'allowed_hosts = ["claw.example.org", "claw.example.net"]' in one.hint
    assert "models.providers.local = {" in other.hint
    assert "sk-very-secret" not in other.message


WRONG = (
    "[api]\nprot = 1\n",
    "[api]\nport = 'x'\n[models.providers.x]\nkind = 3\n",
    "[nonsense]\n",
    "[api\nport = 3\n",
    "[api]\nport = = 3\n",
)


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("paths", ["[paths]\n{}\n", "paths.{}\n", "[paths]\n{} # {{\n[log]\n"])
def test_the_directories_are_found_whatever_else_is_wrong(
    tmp_path: Path, text: str, paths: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(paths.format('runtime_dir = "/run/elsewhere"') + text)

    found = load_directories(path, environ={"IRONCLAW_API_PROT": "1"}, uid=0)

    assert str(found.runtime_dir) == "/run/elsewhere"
    assert str(found.state_dir) == "/var/lib/ironclaw"
    assert found.api.tcp is False


def test_directories_of_the_environment_need_no_file(tmp_path: Path) -> None:
    environ = {
        "IRONCLAW_PATHS_STATE_DIR": "/srv/s",
        "IRONCLAW_PATHS_RUNTIME_DIR": "/srv/r",
        "IRONCLAW_CONFIG": str(tmp_path / "none.toml"),
        "IRONCLAW_MODELS_PROVIDERS": "x",
    }

    found = load_directories(environ=environ, uid=0)

    assert (str(found.state_dir), str(found.runtime_dir)) == ("/srv/s", "/srv/r")


@pytest.mark.parametrize(
    "text",
    [
        "[path]\nruntime_dir = '/r'\n",
        "[path]\nruntime_dir = '/r'\n[api\n",
        "[paths]\nruntime_dirs = '/r'\n",
        "[paths]\nruntime_dir = 3\n",
        "[paths]\nruntime_dir = 'relative'\n",
        "[paths]\nruntime_dir = '/r\n",
        "paths = 3\n",
        "[PATHS]\nruntime_dir = '/r'\n",
        "runtime_dir = '/r'\n",
        "house = { runtime_dir = '/r' }\n",
        "house.runtime_dir = '/r'\n",
        "[directories]\nruntime_dir = '/r'\n",
        "[directories]\nrun = '/r'\n",
        "[sandbox]\nruntime_dir = '/r'\n",
        "paths]\nruntime_dir = '/r'\n",
        "[paths]\nruntime_dir = '/run/a'\n[log]\nruntime_dir = '/r'\n",
        "[paths]\nstate_dir = '/s'\n[log]\nruntime_dir = '/r'\n[api\n",
    ],
)
def test_what_may_be_about_the_directories_is_never_passed_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(UserError) as caught:
        load_directories(path, environ={}, uid=0)

    assert caught.value.code is Code.CONFIG_INVALID


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("IRONCLAW_PATH_RUNTIME", "/r"),
        ("IRONCLAW_RUNTIME_DIR", "r"),
        ("IRONCLAW_CONF", "house.toml"),
        ("IRONCLAW_CONFIG_FILE", "house.toml"),
        ("IRONCLAW_HOME", "/srv/house"),
        ("IRONCLAW_HOUSE", "~/house"),
        ("IRONCLAW_ROOT", "./house"),
    ],
)
def test_a_variable_that_may_be_about_the_directories_is_never_passed_over(
    word: str, value: str
) -> None:
    with pytest.raises(UserError, match=word):
        load_directories(environ={word: value}, uid=0)
