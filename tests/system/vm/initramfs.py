# SPDX-License-Identifier: Apache-2.0
"""Makes the parts of a virtual machine's root file system, each a cpio archive.

usage: initramfs.py userland OUT             this system's tools and libraries
       initramfs.py modules KERNEL-ROOT OUT  a kernel's network modules
       initramfs.py tree ROOT BUILD OUT      the source tree and what was built

`userland` takes files of installed distribution packages, and what their
programs are linked with. `tree` puts both directories where they are here, so
that a build directory goes on working; object files stay behind, and so do the
unit tests, for which no kernel is another; programs go without debug information.
"""
from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cpio import Archive

PACKAGES = """bash bpftool containernetworking-plugins coreutils dbus-daemon findutils grep gzip
    hostname iproute2 kmod mount procps python3-minimal sed tar util-linux""".split()
OPTIONAL_PACKAGES = """curl dash ethtool gawk iperf3 iputils-ping libpython3-stdlib mawk meson
    python3-distutils tcpdump""".split()
# Of packages of which most is of no use here, and what dpkg does not list.
FILES = ["/usr/bin/awk", "/usr/bin/busctl", "/usr/bin/sh", "/usr/bin/systemctl"]
# Loaded by name at run time, so that no program is linked with it.
LIBRARIES = ["libgcc_s.so.1", "libnss_files.so.2"]
UNWANTED = re.compile(r"^/usr/share/(doc|man|locale|info|lintian|bash-completion|bug|perl5|vim)/"
                      r"|/(idlelib|ensurepip|lib2to3|tkinter|turtledemo)/")
FIXED = {
    "/etc/passwd": b"root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "/etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\nservices: files\n",
    "/etc/hosts": b"127.0.0.1 localhost vm\n::1 localhost\n",
    "/etc/machine-id": b"6e61747261000000000000000000766d\n",
}
# What is not about a pod's network, by far the larger part of kernel/net.
UNWANTED_MODULES = re.compile(
    r"^kernel/net/(9p|atm|batman-adv|bluetooth|can|ceph|ieee802154|mac80211|nfc|rds|rxrpc|sunrpc"
    r"|tipc|wireless|netfilter/ipset|netfilter/ipvs)/")
DRIVERS = ["bonding", "dummy", "geneve", "ifb", "ipvlan", "ipvtap", "macvlan", "macvtap", "netkit",
           "tap", "tun", "veth", "vrf", "vxlan"]


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def installed_files(packages: Iterable[str], required: bool) -> list[str]:
    files = []
    for package in packages:
        listing = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True)
        if listing.returncode == 0:
            files += listing.stdout.splitlines()
        elif required:
            sys.exit(f"initramfs.py: package {package} is not installed")
    return files


def compiled(path: str) -> str:
    """Where Python keeps the compiled form of a module; packages do not list it."""
    directory, name = os.path.split(path)
    return f"{directory}/__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc"


def canonical(path: str) -> str:
    """The path with links among its directories, but not itself, resolved."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def is_program(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(20)
    executable_or_library, bpf = (b"\2\0", b"\3\0"), b"\xf7\0"
    return head[:4] == b"\x7fELF" and head[16:18] in executable_or_library and head[18:20] != bpf


def libraries_of(programs: Iterable[Path]) -> set[str]:
    """Everything the programs are linked with, directly or not."""
    names = [str(program) for program in programs]
    if not names:
        return set()
    # Fails if one of them is static; what is missing shows in the words.
    words = subprocess.run(["ldd", *names], capture_output=True, text=True).stdout
    if missing := re.findall(r"\S+ => not found", words):
        sys.exit(f"initramfs.py: libraries are missing here: {', '.join(sorted(set(missing)))}")
    return set(re.findall(r"(/\S+) \(0x", words))


def add_following(archive: Archive, path: str) -> None:
    """Adds a file, and where it is a link, what it leads to."""
    path = canonical(path)
    archive.copy(path, Path(path))
    if os.path.islink(path):
        add_following(archive, os.path.join(os.path.dirname(path), os.readlink(path)))


def userland(out: Path) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    stdlib = [f"python{python}-minimal", f"libpython{python}-minimal", f"libpython{python}-stdlib"]
    files = installed_files(PACKAGES + stdlib, required=True)
    files += installed_files(OPTIONAL_PACKAGES, required=False) + FILES
    files += [compiled(file) for file in files if file.endswith(".py")]
    files = [file for file in files if not UNWANTED.search(file) and os.path.lexists(file)]
    cache = run("/sbin/ldconfig", "-p")
    for library in LIBRARIES:
        files += re.findall(rf"^\s{re.escape(library)} \(.*x86-64.*\) => (\S+)$", cache, re.M)[:1]
    with Archive(out) as archive:
        for directory in ("/bin", "/sbin", "/lib", "/lib64"):
            if os.path.islink(directory):
                archive.symlink(directory, os.readlink(directory))
        for path in ("/dev", "/proc", "/sys", "/run", "/root", "/var/lib", "/etc"):
            archive.directory(path)
        archive.directory("/tmp", 0o1777)
        archive.symlink("/var/run", "/run")
        for path, data in FIXED.items():
            archive.content(path, data)
        for path in files:
            if os.path.isfile(path):
                add_following(archive, path)
        programs = [Path(path) for path in files if is_program(Path(path))]
        for path in sorted(libraries_of(programs)):
            add_following(archive, path)
        archive.copy("/init", Path(__file__).with_name("init"))


def dependencies(directory: Path) -> dict[str, list[str]]:
    lines = (directory / "modules.dep").read_text(encoding="utf-8").splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def wanted_module(name: str) -> bool:
    if name.startswith("kernel/net/"):
        return not UNWANTED_MODULES.match(name)
    return (name.startswith("kernel/drivers/net/")
            and Path(name).name.partition(".")[0] in DRIVERS)


def modules(kernel_root: Path, out: Path) -> None:
    if not (kernel_root / "lib").exists():
        (kernel_root / "lib").symlink_to("usr/lib")  # where depmod looks
    base = kernel_root / "lib/modules"
    release, = (path.name for path in base.iterdir())
    subprocess.run(["depmod", "-b", kernel_root, release], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "lib/modules" / release
        needs = dependencies(base / release)
        wanted = {name for name in needs if wanted_module(name)}
        wanted |= {need for name in wanted for need in needs[name]}
        for name in wanted:
            source = base / release / name
            # Uncompressed: the virtual machine's processor is the slow one.
            plain = target / name.removesuffix(".xz")
            plain.parent.mkdir(parents=True, exist_ok=True)
            plain.write_bytes(lzma.decompress(source.read_bytes()) if source.suffix == ".xz"
                              else source.read_bytes())
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            if (base / release / name).exists():
                shutil.copy(base / release / name, target / name)
        subprocess.run(["depmod", "-b", scratch, release], check=True)
        with Archive(out) as archive:
            for path in sorted(target.rglob("*")):
                if path.is_file():
                    inside = path.relative_to(Path(scratch) / "lib")
                    archive.copy(f"{os.path.realpath('/lib')}/{inside}", path)


def built_files(build: Path) -> Iterable[Path]:
    for directory, subdirectories, names in os.walk(build):
        unwanted = {"unit"} if Path(directory) == build / "tests" else set()
        subdirectories[:] = [name for name in subdirectories if not name.endswith(".p") and name not in unwanted]
        for name in names:
            if not name.endswith((".a", ".symbols")) and not name.startswith(".ninja"):
                yield Path(directory) / name


def tree(root: Path, build: Path, out: Path) -> None:
    # The tree may be another user's when run by sudo.
    listing = run("git", "-c", f"safe.directory={root}", "-C", str(root), "ls-files", "-z",
                  "--cached", "--others", "--exclude-standard")
    with Archive(out) as archive, tempfile.TemporaryDirectory() as scratch:
        for name in filter(None, listing.split("\0")):
            if (root / name).exists():
                archive.copy(str(root / name), root / name)
        programs = []
        stripped = Path(scratch) / "stripped"
        for path in built_files(build):
            if is_program(path):
                programs.append(path)
                run("strip", "--strip-debug", "-o", str(stripped), str(path))
                archive.content(str(path), stripped.read_bytes(), 0o755)
            else:
                archive.copy(str(path), path)
        for path in sorted(libraries_of(programs)):
            if not path.startswith(str(build)):
                add_following(archive, path)


def main() -> int:
    match sys.argv[1:]:
        case ["userland", out]:
            userland(Path(out))
        case ["modules", kernel_root, out]:
            modules(Path(kernel_root), Path(out))
        case ["tree", root, build, out]:
            tree(Path(root), Path(build), Path(out))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
