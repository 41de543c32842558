# SPDX-License-Identifier: Apache-2.0
"""containerd with its CRI service on a node of the lab: its own folders, socket, images and CNI chain.

What it has at fixed places (/run/containerd, /run/netns, /var/lib/cni) is
private only to those who run isolated: see isolation.
"""
from __future__ import annotations

import contextlib
import hashlib
import io
import json
import platform
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

from . import process
from .built import Built
from .cni import Json
from .cri import CriError, RuntimeService
from .node import Node

PAUSE = "natra.test/pause:1"
BUSYBOX = Path("/bin/busybox")
CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
temp = "{folder}/temp"
plugin_dir = "{folder}/plugins"
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# A container may not lower the score of its processes below what it has itself.
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{conf}"
bin_dir = "{bin}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
"""


class Containerd(Built):
    """with Containerd(node, conflist) as containerd: containerd.cri.run(...)."""

    def __init__(self, node: Node, conflist: Json | None, *, plugins: Mapping[str, Path] | None = None,
                 env: Mapping[str, str] | None = None) -> None:
        """plugins: what the plugin folder holds under which name, beside the stock plugins and natra."""
        self.node = node
        self.folder = node.folder / "containerd"
        self.conf = self.folder / "net.d"
        self.bin = self.folder / "bin"
        self.log = self.folder / "containerd.log"
        self._socket = self.folder / "containerd.sock"
        self._conflist = conflist
        self._plugins = dict(plugins or {})
        self._env = {**node.plugin_environment(), **(env or {})}
        self._cleanup = contextlib.ExitStack()
        self._process: process.Background | None = None
        self.cri = RuntimeService(self._socket)

    def _build_up(self) -> None:
        self.conf.mkdir(parents=True)
        self._cleanup.callback(self.cri.close)
        plugin_folder(self.bin, self.node, self._plugins)
        if self._conflist is not None:
            self.configure(self._conflist)
        (self.folder / "config.toml").write_text(CONFIG.format(
            folder=self.folder, socket=self._socket, pause=PAUSE, conf=self.conf, bin=self.bin))
        self._cleanup.callback(self.stop)
        self.start()
        archive = self.folder / "pause.tar"
        write_image(archive, PAUSE, ["/busybox", "sleep", "86400"])
        process.run(["ctr", "--address", str(self._socket), "--namespace", "k8s.io", "images", "import",
                     "--snapshotter", "native", str(archive)], timeout=60)
        self._cleanup.callback(self.remove_sandboxes)

    def _take_down(self) -> None:
        self._cleanup.close()

    def configure(self, conflist: Json, name: str = "10-lab.conflist") -> None:
        """Puts a network configuration in place as installers do; containerd reads it in its own time."""
        new = self.conf / f".{name}"
        new.write_text(json.dumps(conflist))
        new.rename(self.conf / name)

    def start(self, timeout: float = 30) -> None:
        """Returns when the CRI answers and the network is ready, if it has a configuration."""
        self._process = self.node.host.start(
            ["containerd", "--config", str(self.folder / "config.toml")], env=self._env, log=self.log)
        deadline = time.monotonic() + timeout
        wanted = {"RuntimeReady"} | ({"NetworkReady"} if any(self.conf.glob("*.conf*")) else set())
        said: object = None
        while True:
            try:
                conditions = self.cri.status()
                if all(conditions[each][0] for each in wanted):
                    return
                said = conditions
            except CriError as e:
                said = e
            if not self._process.running() or time.monotonic() > deadline:
                raise RuntimeError(f"containerd did not come up: {said}; its log:\n{self.log_tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Sandboxes stay: their shims are processes of their own."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        assert self._process is not None, "containerd was not started"
        self._process.kill()
        self._process = None

    def remove_sandboxes(self) -> None:
        if self._process is None:
            self.start()
        for sandbox in self.cri.sandboxes():
            # containerd 1.6 cannot end a pod whose bandwidth annotation it did not understand.
            with contextlib.suppress(CriError):
                self.cri.stop(sandbox)
                self.cri.remove(sandbox)

    def shims(self) -> list[int]:
        """Process ids of the shims of this containerd."""
        return processes_with(f"-address\0{self._socket}\0")

    def log_tail(self, lines: int = 20) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def plugin_folder(folder: Path, node: Node, plugins: Mapping[str, Path]) -> None:
    """One folder with all plugins, which is all that older runtimes know."""
    folder.mkdir()
    found: dict[str, Path] = {}
    for place in reversed(node.build.cni_path()[1:]):
        found |= {path.name: path for path in (place.iterdir() if place.is_dir() else ())}
    found |= {"natra": node.build.shim, **plugins}
    for name, target in found.items():
        (folder / name).symlink_to(target)


def processes_with(text: str) -> list[int]:
    """Processes with this in their command line, whose words end in NUL."""
    out = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes():
                out.append(int(path.parent.name))
    return out


def write_image(archive: Path, name: str, entrypoint: list[str]) -> None:
    """A "docker save" archive of an image that has busybox and nothing else."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        member = tarfile.TarInfo("busybox")
        member.size, member.mode = BUSYBOX.stat().st_size, 0o755
        with BUSYBOX.open("rb") as data:
            tar.addfile(member, data)
    config = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
              "os": "linux", "config": {"Entrypoint": entrypoint},
              "rootfs": {"type": "layers",
                         "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]}}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        for path, content in (("layer.tar", layer.getvalue()), ("config.json", json.dumps(config).encode()),
                              ("manifest.json", json.dumps(manifest).encode())):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
