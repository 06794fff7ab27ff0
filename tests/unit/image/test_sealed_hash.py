"""The sealed program's own SHA-256, compiled as it is and held against the standard library's."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from types import ModuleType

_SOURCE = Path(__file__).resolve().parents[3] / "container" / "sha256.c"


@pytest.fixture(scope="module")
def sha2(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The C file as an extension module of this interpreter, every warning an error."""
    library = tmp_path_factory.mktemp("sha2") / "sealed_sha2.so"
    include = f"-I{sysconfig.get_path('include')}"
    warnings = ["-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror"]
    subprocess.run(
        ["gcc", "-O2", *warnings, "-shared", "-fPIC", include, str(_SOURCE), "-o", str(library)],
        check=True,
        timeout=60,
    )
    # Not the interpreter's own module of that name, which stays as it is.
    loader = importlib.machinery.ExtensionFileLoader("sealed._sha2", str(library))
    spec = importlib.util.spec_from_loader("sealed._sha2", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_every_length_around_the_block_boundaries(sha2: ModuleType) -> None:
    """The padding is where an implementation goes wrong: all lengths of four blocks."""
    for length in range(257):
        data = bytes(range(256))[:length] + b"\xff" * (length - 256)

        assert sha2.sha256(data).digest() == hashlib.sha256(data).digest(), length


@given(st.binary(max_size=4096))
def test_whatever_the_bytes_are(sha2: ModuleType, data: bytes) -> None:
    assert sha2.sha256(data).digest() == hashlib.sha256(data).digest()


def test_the_published_million(sha2: ModuleType) -> None:
    """FIPS 180-4's long example, from any object with bytes in it."""
    assert sha2.sha256(memoryview(bytearray(b"a" * 1_000_000))).digest().hex() == (
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    )


def test_text_is_refused_and_nothing_else_can_be_made(sha2: ModuleType) -> None:
    with pytest.raises(TypeError):
        sha2.sha256("text")
    with pytest.raises(TypeError):
        type(sha2.sha256(b""))()
