"""Makes docs/reference/configuration.md: each setting, its variable, and how values are written."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TYPE_CHECKING, get_type_hints

import msgspec

from ironclaw.config.environment import variable, variable_names
from ironclaw.config.kinds import LISTS, TABLES, type_name
from ironclaw.config.providers import ProviderSettings
from ironclaw.config.settings import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator


def page() -> str:
    """The page below its title."""
    intro = (
        "One TOML file: `--config FILE`, else `$IRONCLAW_CONFIG`, else\n"
        "`$XDG_CONFIG_HOME/ironclaw/config.toml` (not for root), else\n"
        "`/etc/ironclaw/config.toml`. Variables of the environment win over the file. A name that\n"
        "is no setting is an error, in both. Secrets are never settings.\n\n"
        "Directories, when not set: for root `/var/lib/ironclaw` and `/run/ironclaw`; for others\n"
        "`$XDG_STATE_HOME/ironclaw` and `$XDG_RUNTIME_DIR/ironclaw` (without that one:\n"
        "`/tmp/ironclaw-<uid>`). `image_dir` is the state directory when not set.\n\n"
        "When a setting is wrong, nothing starts. `ironclaw down`, `status` and `logs` still\n"
        "reach a house that runs, as long as its directories can be told.\n"
    )
    parts = [intro, _in_the_environment()]
    variables = {pair: name for name, pair in variable_names().items()}
    for section, struct in SECTIONS.items():
        parts.append(f"\n## [{section}]\n\n{inspect.getdoc(struct)}\n")
        meanings = field_docs(struct)
        hints = get_type_hints(struct)
        for field in msgspec.structs.fields(struct):
            default = field.default
            shown = {"True": "true", "False": "false", ".": "see above"}.get(
                str(default), str(default) or "empty"
            )
            if default in ((), msgspec.NODEFAULT):
                shown = "none"
            word = variables.get((section, field.name))
            where = f"Environment: `{word}`." if word else "In the file only."
            parts.append(
                f"\n### {section}.{field.name}\n\n{meanings[field.name]}\n\n"
                f"Type: {type_name(hints[field.name])}. Default: {shown}. {where}\n"
            )
    return "".join([*parts, *_provider()])


def _in_the_environment() -> str:
    """How values are written in a variable."""
    section, name = next(iter(LISTS))
    items = LISTS[section, name]
    shown = ", ".join(f'"{one}"' for one in items)
    (table,) = TABLES.values()
    return textwrap.dedent(
        f"""
        ## In the environment

        Each setting below names its variable, `IRONCLAW_<SECTION>_<NAME>`. Texts, paths and numbers
        are written as they are, without quotes; true or false as `true` and `false`.

        **A list** has commas between its items, without brackets and quotes. Spaces around an item
        do not count. An empty variable is the empty list. It takes the place of the file's list. An
        item with a comma in it can stand in the file only.

        ```sh
        export {variable(section, name)}={",".join(items)}
        ```

        is the same as, in the file,

        ```toml
        [{section}]
        {name} = [{shown}]
        ```

        **A table** stands in the file only: no variable holds one, or a part of one. Name a file of
        your own with `IRONCLAW_CONFIG` instead:

        ```sh
        echo '{table}' > providers.toml
        export IRONCLAW_CONFIG=$PWD/providers.toml
        ```
        """
    )


def _provider() -> Iterator[str]:
    """What stands in a provider's table."""
    yield f"\n## [models.providers.NAME]\n\n{inspect.getdoc(ProviderSettings)}\n"
    meanings = field_docs(ProviderSettings)
    hints = get_type_hints(ProviderSettings)
    for field in msgspec.structs.fields(ProviderSettings):
        shown = "needed" if field.required else f"default {field.default or 'none'}"
        if field.default is msgspec.NODEFAULT and not field.required:
            shown = "default none"
        kind = type_name(hints[field.name])
        yield f"\n- `{field.name}` ({kind}, {shown}): {meanings[field.name]}"
    yield "\n"


def field_docs(struct: type) -> dict[str, str]:
    """The text under each field of a struct."""
    found = re.findall(
        r'^    (\w+): [^\n]*\n    """(.*?)"""', inspect.getsource(struct), re.MULTILINE | re.DOTALL
    )
    return {name: " ".join(text.split()) for name, text in found}
