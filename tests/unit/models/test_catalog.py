"""What people see of providers, and that seeing it starts nothing."""

from __future__ import annotations

import subprocess
import sys

from tests.support.model_house import provider

from ironclaw.core.tasks import Tasks
from ironclaw.models.catalog import Catalog
from ironclaw.models.host.starter import ModelHost


async def test_each_provider_is_shown_without_its_key() -> None:
    there = {
        "two": provider("openai", ""),
        "home": provider("openai-compatible", "http://h/v1", key="", context_tokens=99),
        "lost": provider("groq", "", key="env:NONE"),
    }
    environ = {"K": "sk-canary-0123456789abcdef"}
    async with Tasks("test", on_failure=lambda *_: None) as tasks:
        host = ModelHost(there, environ, tasks)
        host.windows["home", "tiny"] = 77
        views = Catalog(there, environ, host).views()

    assert host.pid == 0
    assert [(one.name, one.key) for one in views] == [
        ("scripted", "not needed"),
        ("home", "not needed"),
        ("lost", "missing"),
        ("two", "present"),
    ]
    assert (views[1].context_tokens, views[1].models) == (99, {"tiny": 77})
    assert "NONE" in views[2].problem
    assert "canary" not in repr(views)


def test_the_core_loads_no_library_of_a_provider() -> None:
    """They would take more memory than the whole core may have."""
    heavy = ("pydantic_ai", "openai", "anthropic", "google.genai", "boto3", "mistralai", "groq")
    code = f"import ironclaw.daemon, sys; print([m for m in {heavy} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
