"""Makes a root file system in which `probe.py` can run: this machine's Python and the mount points.

Root file systems with /sandbox have no interpreter; a probe needs one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

PROGRAM = ("/usr/bin/python3", "-I", "-S", "-B", "/probe.py")
_PLACES = (
    *("proc", "sys", "dev", "tmp", "queue/in", "queue/out", "run/ironclaw"),
    *("workspace", "memory", "shared", "usr/bin"),
)
_EXTENSIONS = ("_ctypes", "_json", "mmap")
_SKIP = ("test", "__pycache__", "idlelib", "dist-packages", "config-*", "ensurepip", "lib2to3")


def make_probe_rootfs(root: Path) -> Path:
    """Make it at `root`, readable by every user; return `root`."""
    for name in _PLACES:
        (root / name).mkdir(parents=True)
    python = Path("/usr/bin/python3").resolve()
    library = Path("/usr/lib") / python.name
    shutil.copytree(
        library,
        root / "usr/lib" / python.name,
        ignore=shutil.ignore_patterns(*_SKIP),
        ignore_dangling_symlinks=True,
    )
    shutil.copy(python, root / "usr/bin/python3")
    modules = library / "lib-dynload"
    extensions = (file for name in _EXTENSIONS for file in modules.glob(f"{name}.*"))
    for file in (python, *extensions):
        listed = subprocess.run(["ldd", file], capture_output=True, text=True, check=True).stdout
        for needed in re.findall(r"(/\S+) \(0x", listed):
            target = root / needed.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(needed).resolve(), target)
    shutil.copy(Path(__file__).with_name("probe.py"), root / "probe.py")
    for entry in (root, *root.rglob("*")):
        entry.chmod(0o755 if entry.is_dir() else entry.stat().st_mode & 0o111 | 0o444)
    return root
