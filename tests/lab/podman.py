# SPDX-License-Identifier: Apache-2.0
"""podman with the CNI network backend on a node of the lab."""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from . import process
from .built import Built
from .cni import Json
from .containerd import BUSYBOX, plugin_folder
from .node import Node

CONFIG = """[containers]
apparmor_profile = ""
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
volume_path = "{folder}/volumes"
[network]
network_backend = "cni"
network_config_dir = "{folder}/net.d"
cni_plugin_dirs = ["{folder}/bin"]
"""


class Podman(Built):
    """with Podman(node, conflist) as podman: podman.run(...). Where it is isolated only: see isolation."""

    def __init__(self, node: Node, conflist: Json) -> None:
        self.node = node
        self.network = conflist["name"]
        self.folder = node.folder / "podman"
        self._conflist = conflist

    def _build_up(self) -> None:
        configurations = self.folder / "net.d"
        configurations.mkdir(parents=True)
        plugin_folder(self.folder / "bin", self.node, {})
        (configurations / "10-lab.conflist").write_text(json.dumps(self._conflist))
        (self.folder / "containers.conf").write_text(CONFIG.format(folder=self.folder))
        (self.folder / "rootfs").mkdir()
        shutil.copy2(BUSYBOX, self.folder / "rootfs" / "busybox")

    def _take_down(self) -> None:
        self("rm", "--force", "--all", "--time", "0", check=False)

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 60) -> str:
        """podman's standard output. Raises process.CommandError."""
        # The other folders are below /run: podman refuses a --runroot of more than 50 characters.
        places = ["--root", str(self.folder / "root"), "--storage-driver", "vfs"]
        env = {**self.node.plugin_environment(), "CONTAINERS_CONF": str(self.folder / "containers.conf")}
        done = self.node.host.run(["podman", *places, *arguments], env=env, check=check, timeout=timeout)
        return done.stdout.strip()

    def run(self, name: str, *options: str) -> str:
        """The id of a container that sleeps."""
        return self("run", "--detach", "--name", name, "--network", self.network,
                    "--cgroup-parent", f"/{self.node.label}", *options,
                    "--rootfs", str(self.folder / "rootfs"), "/busybox", "sleep", "86400")

    def inspect(self, container: str) -> dict[str, Any]:
        return dict(json.loads(self("inspect", container))[0])

    def netns(self, container: str) -> str:
        return str(Path(self.inspect(container)["NetworkSettings"]["SandboxKey"]))


def version() -> tuple[int, ...]:
    text = process.run(["podman", "version", "--format", "{{.Client.Version}}"]).stdout
    return tuple(int(word) for word in text.strip().split(".")[:2])
