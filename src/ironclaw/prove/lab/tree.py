"""Makes the root file system of a probe: the production image's tree, and beside it `/probe`.

`/probe` holds this Python, its standard library, the libraries it needs and the hostile code; the
image itself has no interpreter. Two places in it are writable by mode, so that only the read-only
mounts protect them: `/probe/open` for everybody, `/probe/own` for the box's own id.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import ironclaw_contract

_PROBE: Final = Path(__file__).parent.parent / "probe"
_SKIPPED: Final = shutil.ignore_patterns(
    *("test", "tests", "__pycache__", "idlelib", "dist-packages", "site-packages", "config-*"),
    *("ensurepip", "lib2to3", "tkinter", "turtledemo", "pydoc_data", "distutils", "*.a"),
)
_PACKAGES: Final = ("msgspec", "apsw")
"""What the contract is made of: a hostile agent speaks it as well as the real one."""
_LOADERS: Final = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
_OPEN: Final = 0o777


def program(name: str) -> tuple[str, ...]:
    """How a module of `prove.probe` is started in a box: by our own loader, whatever the image has.

    Args:
        name: `inside` attacks on request over a raw bell; `agent` is a hostile agent that speaks
            the contract; `greedy` takes what it can get; `beside` runs beside the real agent.
    """
    loader = ("/probe/ld.so", "--library-path", "/probe/lib", "/probe/bin/python3")
    return (*loader, "-I", "-S", "-B", "-m", f"ironclaw.prove.probe.{name}")


def make_probe_tree(image: Path, root: Path, *, owner: tuple[int, int]) -> Path:
    """Copy the image's tree to `root` and put `/probe` into it.

    Args:
        image: The unpacked image.
        root: Where the copy goes; must not exist.
        owner: Host uid and gid of the box's program.

    Raises:
        OSError: It could not be copied.
    """
    shutil.copytree(image, root, symlinks=True)
    probe = root / "probe"
    # The image's own root is read-only to everybody.
    root.chmod(0o755)
    probe.mkdir()
    _copy_python(probe)
    for place in ("open", "own", "extra"):
        (probe / place).mkdir()
    (probe / "own" / "code").write_text("the program", encoding="ascii")
    for entry in (probe, *probe.rglob("*")):
        if not entry.is_symlink():
            entry.chmod(0o755 if entry.is_dir() else 0o555)
    (probe / "open").chmod(_OPEN)
    for entry in (probe / "own", probe / "own" / "code"):
        entry.chmod(0o700 if entry.is_dir() else 0o600)
        os.chown(entry, *owner)
    return root


def _copy_python(probe: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = probe / "lib" / version
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=_SKIPPED)
    for name in _PACKAGES:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise OSError(f"the package {name} is not where Python is")
        shutil.copytree(Path(spec.origin).parent, library / name, ignore=_SKIPPED)
    contract = Path(ironclaw_contract.__file__).parent
    shutil.copytree(contract, library / contract.name, ignore=_SKIPPED)
    # The probe's own package, and nothing else of the host's code.
    package = library / "ironclaw" / "prove"
    shutil.copytree(_PROBE, package / "probe", ignore=_SKIPPED)
    for above in (package, package.parent):
        (above / "__init__.py").touch()
    (probe / "bin").mkdir()
    shutil.copy(Path(sys.executable).resolve(), probe / "bin" / "python3")
    for path in _loaded_libraries():
        shutil.copy(path, probe / "lib" / path.name)
        # The kernel shows a library by its file, programs ask for it by a link's name.
        for link in path.parent.glob(path.name.partition(".so")[0] + ".so*"):
            if link.is_symlink() and link.resolve() == path:
                (probe / "lib" / link.name).symlink_to(path.name)
    shutil.copy(probe / "lib" / _LOADERS[platform.machine()], probe / "ld.so")


def _loaded_libraries() -> set[Path]:
    """The shared libraries in this process: it has loaded all that the probe will load."""
    import ctypes  # noqa: F401, PLC0415 - for its library

    import apsw  # noqa: F401, PLC0415 - the same
    import msgspec  # noqa: F401, PLC0415 - the same

    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    paths = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) > 5}  # noqa: PLR2004 - columns
    libraries = {Path(path) for path in paths if ".so" in Path(path).name}
    modules = (sys.prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return {path for path in libraries if not str(path).startswith(modules)}
