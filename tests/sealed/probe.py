# ruff: noqa: ANN001, ANN002, BLE001, PTH101, PTH102, PTH103, PTH108, PTH123, PTH208, S103, S606, SIM115, SIM223 - an attacker
"""Runs inside a box, in place of /sandbox: says what it sees and what it could do. Stdlib only.

It connects to the bell, sends one JSON line, then obeys single-letter commands: `o` eats memory,
`x` ends, `?` says the line again; those of `FLOODS` fill the disk.
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import time

libc = ctypes.CDLL(None, use_errno=True)


def attempt(action):
    """Return "done" or the name of the error."""
    try:
        result = action()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return type(error).__name__
    return "done" if result is None else str(result)


def system(name, *args):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)


def write(path):
    with open(path, "w") as file:
        file.write("x")


def status():
    found = {}
    for line in open("/proc/self/status"):
        name, _, value = line.partition(":")
        found[name] = value.strip()
    return found


def fill(path, size, count):
    """Write files until refused; return how many bytes went in."""
    total = 0
    made = []
    try:
        for number in range(count):
            name = f"{path}/fill{number}"
            with open(name, "wb") as file:
                made.append(name)
                total += file.write(b"\0" * size)
    except OSError as error:
        return errno.errorcode.get(error.errno), total, len(made)
    finally:
        for name in made:
            os.unlink(name)
    return "done", total, len(made)


def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def facts():
    seen = status()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": list(os.getgroups()),
        "cap_eff": int(seen["CapEff"], 16),
        "cap_prm": int(seen["CapPrm"], 16),
        "cap_bnd": int(seen["CapBnd"], 16),
        "no_new_privs": libc.prctl(39, 0, 0, 0, 0) == 1,
        "seccomp": int(seen["Seccomp"]),
        "interfaces": [line.split(":")[0].strip() for line in list(open("/proc/net/dev"))[2:]],
        "routes": max(0, len(list(open("/proc/net/route"))) - 1),
        "root_writable": attempt(lambda: write("/probe")) == "done",
        "in_writable": attempt(lambda: write("/queue/in/probe")) == "done",
        "kernel": open("/proc/version").read().strip(),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "environment": sorted(os.environ),
    }


def attempts():
    os.makedirs("/workspace/dir", exist_ok=True)
    with open("/workspace/tool", "wb") as file:
        file.write(b"#!/usr/bin/python3\n")
    os.chmod("/workspace/tool", 0o4755)
    return {
        "write_root": attempt(lambda: write("/x")),
        "write_in": attempt(lambda: write("/queue/in/x")),
        "write_run": attempt(lambda: write("/run/ironclaw/x")),
        "write_shared": attempt(lambda: write("/shared/x")),
        "read_docs": attempt(lambda: open("/shared/docs/note", "rb").close()),
        "write_docs": attempt(lambda: write("/shared/docs/x")),
        "change_docs": attempt(lambda: write("/shared/docs/note")),
        "remove_docs": attempt(lambda: os.unlink("/shared/docs/note")),
        "write_out": attempt(lambda: (write("/queue/out/x"), os.unlink("/queue/out/x")) and None),
        "write_workspace": attempt(lambda: write("/workspace/x")),
        "write_memory": attempt(lambda: write("/memory/x")),
        "write_tmp": attempt(lambda: write("/tmp/x")),
        "mount": attempt(lambda: system("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
        "umount": attempt(lambda: system("umount", b"/queue/in")),
        "unshare_user": attempt(lambda: system("unshare", 0x10000000)),
        "unshare_net": attempt(lambda: system("unshare", 0x40000000)),
        "ptrace": attempt(lambda: system("ptrace", 0, 0, 0, 0)),
        "chroot": attempt(lambda: os.chroot("/tmp")),
        "setuid": attempt(lambda: os.setuid(0)),
        "setgroups": attempt(lambda: os.setgroups([0])),
        "mknod": attempt(lambda: os.mknod("/queue/out/dev", 0o20600, os.makedev(1, 3))),
        "chown": attempt(lambda: os.chown("/queue/out", 0, 0)),
        "fork": attempt(fork),
        "execve": attempt(lambda: os.execv("/usr/bin/python3", ["python3", "-c", ""])),
        "exec_workspace": attempt(lambda: os.execv("/workspace/tool", ["tool"])),
        "inet": attempt(lambda: socket.socket(socket.AF_INET).close()),
        "inet6": attempt(lambda: socket.socket(socket.AF_INET6).close()),
        "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
        "packet": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
        "sethostname": attempt(lambda: socket.sethostname("x")),
        "kcore": attempt(lambda: open("/proc/kcore", "rb").close()),
        "sysctl": attempt(lambda: write("/proc/sys/kernel/hostname")),
        "signal_init": attempt(lambda: os.kill(2, 0)),
        "keyctl": attempt(lambda: system("syscall", 250, 0, 0, 0, 0, 0)),
        "bpf": attempt(lambda: system("syscall", 321, 0, 0, 0)),
        "io_uring": attempt(lambda: system("syscall", 425, 1, 0)),
        "userfaultfd": attempt(lambda: system("syscall", 323, 0)),
        "big_file": fill("/workspace", 65 * 1024 * 1024, 1),
        "out_bytes": fill("/queue/out", 1024 * 1024, 64),
        "out_inodes": fill("/queue/out", 0, 2000),
        "tmp_bytes": fill("/tmp", 1024 * 1024, 128),
        "open_files": attempt(lambda: [open("/proc/version") for _ in range(2000)] and None),
    }


def sees():
    return {
        "root": sorted(os.listdir("/")),
        "memory": sorted(os.listdir("/memory")),
        "shared": sorted(os.listdir("/shared")),
        "workspace": sorted(os.listdir("/workspace")),
        "in": sorted(os.listdir("/queue/in")),
        "run": sorted(os.listdir("/run/ironclaw")),
        "mounts": open("/proc/mounts").read(),
        "memory_total_kb": int(open("/proc/meminfo").readline().split()[1]),
        "hostname": socket.gethostname(),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


def eat():
    """Take memory for ever."""
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(4096) * 256))


def endless(path, size):
    """Make files of that size for ever, or until one is refused."""
    block = b"x" * size
    for number in range(10**9):
        with open(f"{path}/{number}", "wb") as file:
            file.write(block)


def nameless():
    """Fill files that have no name any more."""
    kept = []
    # First all of the names go, then it takes room: it is ended at some moment of the latter.
    for number in range(200):
        kept.append(open(f"/workspace/{number}", "wb"))
        os.unlink(f"/workspace/{number}")
    for file in kept:
        for _ in range(8):
            file.write(b"x" * 1024 * 1024)
            file.flush()


def by_name():
    """Fill files that have no name any more and are open by their name only (`O_PATH`)."""
    others = [f"/workspace/other-{number}" for number in range(200)]
    for other in others:
        os.close(os.open(other, os.O_CREAT | os.O_WRONLY))
    for number in range(60):
        path = f"/workspace/{number}"
        with open(path, "wb") as file:
            file.writelines(b"x" * 1024 * 1024 for _ in range(8))
        for other in others:  # until the sentry has forgotten the file, and closed what it had
            os.close(os.open(other, os.O_RDONLY))
        os.open(path, os.O_PATH)
        os.unlink(path)


def mapped():
    """Fill files through memory: no write is ever called."""
    for number in range(200):
        with open(f"/workspace/{number}", "w+b") as file:
            file.truncate(8 * 1024 * 1024)
            with mmap.mmap(file.fileno(), 8 * 1024 * 1024) as memory:
                for at in range(0, len(memory), 4096):
                    memory[at] = 1


def computes():
    """Make no call any more, and write to memory that is a file all the same."""
    with open("/workspace/mapped", "w+b") as file:
        file.truncate(64 * 1024 * 1024)
        with mmap.mmap(file.fileno(), 64 * 1024 * 1024) as memory:
            while True:
                for at in range(0, len(memory), 4096):
                    memory[at] = 1


def hidden():
    """Write where the owner itself may not look."""
    os.mkdir("/workspace/closed")
    os.chdir("/workspace/closed")
    os.chmod("/workspace/closed", 0o300)
    os.chmod("/workspace", 0o300)
    endless(".", 4 * 1024 * 1024)


def deep():
    """Write at the end of a way too long to go."""
    os.chdir("/workspace")
    for _ in range(150):
        os.mkdir("d")
        os.chdir("d")
    endless(".", 4 * 1024 * 1024)


FLOODS = {
    b"o": eat,
    b"w": lambda: endless("/workspace", 8 * 1024 * 1024),
    b"i": lambda: endless("/workspace", 0),
    b"u": nameless,
    b"p": by_name,
    b"m": mapped,
    b"c": computes,
    b"d": hidden,
    b"D": deep,
}


def main():
    started = time.monotonic()
    while True:
        bell = socket.socket(socket.AF_UNIX)
        try:
            bell.connect("/run/ironclaw/bell.sock")
            break
        except OSError:
            bell.close()
            if time.monotonic() - started > 20:
                raise
            time.sleep(0.01)
    bell.sendall(json.dumps(facts()).encode() + b"\n")
    while True:
        command = bell.recv(1)
        if command == b"x":
            os._exit(7)
        elif command == b"?":
            bell.sendall(json.dumps({"sees": sees(), "attempts": attempts()}).encode() + b"\n")
        elif not command:
            time.sleep(3600)
        elif command in FLOODS:
            attempt(FLOODS[command])


main()
