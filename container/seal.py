# ruff: noqa: INP001 (build scripts, run by path)
"""Make the sealed program: contract and agent frozen into one CPython without anything else.

    python3 -I -B seal.py --source SRC --tools DIR --work DIR --out DIR

1. `imports.closure` says which modules there are;
2. each is compiled to bytecode without docstrings and asserts, under a name that holds no path;
3. tables and bytecode go into one C and one assembler file;
4. the distribution's static libpython is linked with just the built-in modules that are used.

`out` then holds `sandbox` and the two libraries it is linked to. The same input gives the same
bytes: hash seed, order, file names and section contents are fixed.
"""

from __future__ import annotations

import argparse
import marshal  # noqa: TID251  (written here, read by the interpreter that is linked in)
import os
import re
import shutil
import subprocess  # noqa: TID251  (a build script; it runs beside no daemon)
import sys
import sysconfig
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from imports import Module, closure

PACKAGES = ["ironclaw_contract", "ironclaw_agent"]
ENTRY = "ironclaw_agent.__main__"
LIBRARY_DIR = "/usr/lib/ironclaw"
"""Where the two libraries lie in the image."""
LINKED = {
    "apsw": ("apsw", "apsw", "PyInit_apsw"),
    "msgspec._core": ("_msgspec_core", "msgspec_core", "PyInit__core"),
}
"""Extension modules that the program is linked to: (name inside, library, init function)."""
PROVIDED = {"_ctypes": "PyInit__ctypes", "_sha2": "PyInit__sha2"}
"""Modules that the C files beside this one have a small form of."""
OWN_C = ("seal.c", "sha256.c")
SUPERSEDED = {"_sha256"}
"""What Python 3.11 has under the name that `ironclaw_contract.hashing` asks for second."""
ALWAYS = ("encodings.ascii", "encodings.latin_1", "encodings.utf_8")
"""Codecs that are looked up by name at run time."""
CORE = {"marshal", "_imp", "_ast", "_tokenize", "builtins", "sys", "gc", "_warnings", "_string"}
"""Built-in modules that every libpython has, whatever the table says."""


def _library(tools: Path, work: Path) -> Path:
    """Lay the reduced packages over the library's own."""
    library = work / "library"
    shutil.rmtree(library, ignore_errors=True)
    keep = shutil.ignore_patterns("tests", "__pycache__", "*.pyi", "fts*", "*.json")
    for package in ("apsw", "msgspec"):
        shutil.copytree(tools / package, library / package, ignore=keep)
    slim = Path(__file__).resolve().parent / "slim"
    shutil.copytree(slim, library, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return library


def _code(module: Module) -> bytes:
    """Compile one module."""
    source = Path(module.origin).read_bytes()
    label = module.name.replace(".", "/") + ("/__init__" if module.is_package else "")
    code = compile(source, f"{label}.py", "exec", dont_inherit=True, optimize=2)
    # Read back once: the bytes then depend on the value alone, not on who else holds its parts.
    return marshal.dumps(marshal.loads(marshal.dumps(code)))  # noqa: S302  (its own output)


def _frozen(modules: list[Module], work: Path) -> tuple[str, str]:
    """Write the bytecode; return the C table and the assembler that includes the bytes."""
    table, assembly = [], ['.section .rodata,"a",@progbits']
    for number, module in enumerate(modules):
        symbol = f"sealed_{number}"
        data = _code(module)
        (work / f"{symbol}.bin").write_bytes(data)
        assembly += [".balign 16", f".globl {symbol}", f'{symbol}: .incbin "{symbol}.bin"']
        flag = int(module.is_package)
        name = "__main__" if module.name == ENTRY else module.name
        table.append(
            f'{{.name = "{name}", .code = {symbol}, .size = {len(data)}, .is_package = {flag}}},'
        )
    externs = [f"extern const unsigned char {f'sealed_{n}'}[];" for n in range(len(modules))]
    body = "\n    ".join([*table, "{0}"])
    text = "\n".join(externs) + f"\nstatic struct _frozen sealed_modules[] = {{\n    {body}\n}};\n"
    return text, "\n".join([*assembly, '.section .note.GNU-stack,"",@progbits', ""])


def _builtins(modules: list[Module], config: Path) -> str:
    """Write the table of built-in modules, for just those that are used."""
    known = dict(re.findall(r'^\s*\{"(\w+)",\s*(\w+)\}', config.read_text("utf-8"), re.MULTILINE))
    known |= {"marshal": "PyMarshal_Init", "_imp": "PyInit__imp"}
    used = ({m.name for m in modules if m.origin == "built-in"} | CORE) - SUPERSEDED
    rows = {name: known[name] for name in sorted(used) if known.get(name, "NULL") != "NULL"}
    rows |= {name: init for name, _, init in LINKED.values()} | PROVIDED
    null = [f'    {{"{name}", NULL}},' for name in ("builtins", "sys")]
    externs = [f"extern PyObject *{init}(void);" for init in rows.values()]
    entries = [f'    {{"{name}", {init}}},' for name, init in rows.items()]
    head = "#include <Python.h>\n"
    return head + "\n".join(
        [*externs, "struct _inittab _PyImport_Inittab[] = {", *entries, *null, "    {0}", "};", ""]
    )


def _link(work: Path, libpl: Path, include: str) -> None:
    version = sysconfig.get_config_var("LDVERSION")
    compiler = os.environ.get("CC", "gcc")
    here = Path(__file__).resolve().parent
    subprocess.run(  # noqa: S603  (a build script: the compiler it was told)
        [
            compiler,
            "-O2",
            "-fno-plt",
            "-fno-ident",
            "-pipe",
            "-no-pie",
            "-fno-pie",
            "-fstack-protector-strong",
            "-D_FORTIFY_SOURCE=2",
            f"-I{include}",
            "-I.",
            *(str(here / name) for name in OWN_C),
            "builtins.c",
            "frozen.S",
            str(libpl / f"libpython{version}.a"),
            "-L.",
            "-lapsw",
            "-lmsgspec_core",
            "-lexpat",
            "-lz",
            "-lm",
            "-ldl",
            "-lpthread",
            "-o",
            "sandbox",
            "-Wl,--export-dynamic",
            "-Wl,--gc-sections",
            "-Wl,--as-needed",
            "-Wl,-O1",
            "-s",
            "-Wl,--build-id=none",
            "-Wl,-z,relro",
            "-Wl,-z,noexecstack",
            "-Wl,--hash-style=gnu",
            "-Wl,-z,lazy",
        ],
        check=True,
        cwd=work,
    )


def main() -> None:
    """Read the command line and seal."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("source", "tools", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    work: Path = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    tools: Path = options.tools.resolve()
    library = _library(tools, work)
    loaded = closure(sys.executable, options.source.resolve(), library, PACKAGES)
    names = {module.name for module in loaded}
    stdlib = Path(sysconfig.get_path("stdlib"))
    for name in ALWAYS:
        if name not in names:
            loaded.append(Module(name, str(stdlib / f"{name.replace('.', '/')}.py"), False))
    foreign = [m for m in loaded if m.origin.endswith(".so") and m.name not in {*LINKED, *PROVIDED}]
    if foreign:
        sys.exit(f"these imports need a library of their own: {[m.name for m in foreign]}")
    frozen = sorted(m for m in loaded if m.origin.endswith(".py"))
    for _, library_name, _ in LINKED.values():
        (work / f"lib{library_name}.so").unlink(missing_ok=True)
    for name, (_, library_name, _) in LINKED.items():
        stem = name.replace(".", "/") if "." in name else f"{name}/__init__"
        (found,) = (library / stem).parent.glob(f"{Path(stem).name}.*.so")
        target = work / f"lib{library_name}.so"
        shutil.copyfile(found, target)
        soname = f"{LIBRARY_DIR}/{target.name}"
        subprocess.run(  # noqa: S603  (a build script: a fixed program)
            ["/usr/bin/patchelf", "--set-soname", soname, str(target)], check=True
        )
    table, assembly = _frozen(frozen, work)
    (work / "seal_tables.h").write_text(table, "utf-8")
    (work / "frozen.S").write_text(assembly, "utf-8")
    libpl = Path(sysconfig.get_config_var("LIBPL"))
    (work / "builtins.c").write_text(_builtins(loaded, libpl / "config.c"), "utf-8")
    _link(work, libpl, sysconfig.get_path("include"))
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    for name in ("sandbox", "libapsw.so", "libmsgspec_core.so"):
        shutil.copyfile(work / name, out / name)
        (out / name).chmod(0o755)
    sys.stdout.write(f"{len(frozen)} modules sealed\n")


if __name__ == "__main__":
    main()
