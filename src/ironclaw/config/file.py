"""The configuration file: which one it is, its text, and where in it a setting stands."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ironclaw.config.paths import config_candidates
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CONFIG_BYTES = 1024 * 1024


def find_config(
    config: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Path | None:
    """The file that `load_settings` reads with the same arguments; None when there is none.

    Raises:
        UserError: `CONFIG_INVALID`: a file was named that does not exist.
    """
    env = os.environ if environ is None else environ
    user = os.geteuid() if uid is None else uid
    if config is None and (named := env.get("IRONCLAW_CONFIG")):
        config = Path(named)
    if config is not None:
        if not config.is_file():
            raise invalid(
                f"There is no configuration file {config}.",
                hint="Check --config and $IRONCLAW_CONFIG; without both, defaults apply.",
            )
        return config
    return next((path for path in config_candidates(env, user) if path.is_file()), None)


def read_config(path: Path | None) -> str:
    """Its text; none when there is no file. Raises UserError (`CONFIG_INVALID`)."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
        if len(raw) > MAX_CONFIG_BYTES:
            raise invalid(f"{path} is over {MAX_CONFIG_BYTES} bytes.", hint="Is it the right file?")
        return raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(
            f"{path} cannot be read: {error}.", hint="It must be a readable UTF-8 text file."
        ) from error


def place(path: Path | None, text: str, section: str, name: str | None) -> str:
    """`file:line` of a section or a setting, or `file` where the line cannot be told."""
    inside = name is None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        header = re.match(r"\[\s*([^\]]+?)\s*\]", stripped)
        if header:
            inside = header[1].strip("\"'") == section
            if name is not None and header[1].startswith(f"{section}.{name}."):
                return f"{path}:{number}"
            if inside and name is None:
                return f"{path}:{number}"
        key = re.match(r"[\"']?([A-Za-z0-9_\-.]+)[\"']?\s*=", stripped)
        wanted = {name, f"{section}.{name}"} if name is not None else {section}
        if key and (key[1] in wanted and (inside or "." in key[1] or name is None)):
            return f"{path}:{number}"
    return str(path)


def invalid(message: str, *, hint: str) -> UserError:
    """Something is wrong with the configuration."""
    return UserError(Code.CONFIG_INVALID, message, hint=hint)
