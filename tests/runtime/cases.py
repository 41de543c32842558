# SPDX-License-Identifier: Apache-2.0
"""What the runtimes' cases share: pods run by the runtime, and a look at all that they could leave behind."""
from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from lab import isolation
from lab.cni import Json
from lab.containerd import Containerd
from lab.cri import PodConfig, PodStatus
from lab.namespace import FOLDER, Namespace
from lab.node import PEER_V4, PEER_V6
from lab.pod import Limiter, conflist
from lab.traffic import Client
from support import NodeCase, attached_programs, eventually, files_below

CNI_CACHE = Path("/var/lib/cni/results")
INGRESS, EGRESS = "kubernetes.io/ingress-bandwidth", "kubernetes.io/egress-bandwidth"

# A plugin that keeps what it is given, and hands the result on.
RECORDER = """#!{python}
import json, os, sys
given = json.load(sys.stdin)
with open({record!r}, "a") as record:
    record.write(json.dumps({{"verb": os.environ["CNI_COMMAND"], "args": os.environ.get("CNI_ARGS", ""),
                              "netns": os.environ.get("CNI_NETNS", ""), "stdin": given}}) + "\\n")
if os.environ["CNI_COMMAND"] == "ADD":
    print(json.dumps(given["prevResult"]))
elif os.environ["CNI_COMMAND"] == "VERSION":
    print('{{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}}')
"""


class RuntimeCase(NodeCase):
    """Each case must leave the node as it found it."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.assert_unchanged, self.inventory())

    def inventory(self) -> dict[str, Any]:
        """All that pods bring to a node, and the runtime or natra could leave there."""
        node = self.node
        pins = sorted(path.name for path in self.natrad.pins.iterdir()) if self.natrad.pins.is_dir() else []
        return {"links": sorted(node.host.links()), "programs": attached_programs(node), "pins": pins,
                "files": files_below(self.natrad.runtime), "natrad": self.natrad.attachments(),
                "namespaces": sorted(path.name for path in FOLDER.iterdir()),
                "results": files_below(CNI_CACHE),
                "addresses": [name for name in files_below(node.folder / "ipam") if name.count(".") > 2],
                "cgroups": sorted(str(path) for path in isolation.cgroups(node.label) if path.name != node.label)}

    def assert_unchanged(self, before: dict[str, Any]) -> None:
        # natrad hears of a device's end after the runtime is done, and shims end by themselves.
        if not eventually(lambda: self.inventory() == before, timeout=10):
            self.assertEqual(self.inventory(), before)

    maxDiff = None

    def spool(self) -> list[str]:
        return files_below(self.natrad.runtime / "spool")

    def recorder(self, record: Path) -> Path:
        """A plugin that writes what it is given to the file."""
        plugin = self.node.folder / f"{record.name}.py"
        plugin.write_text(RECORDER.format(python=sys.executable, record=str(record)))
        plugin.chmod(0o755)
        return plugin

    def client(self, netns: Namespace, family: int = 4) -> Client:
        return Client(netns, self.node.server, PEER_V4 if family == 4 else PEER_V6)

    def rate(self, netns: Namespace, direction: str, *, seconds: int = 3, family: int = 4) -> float:
        """Goodput of one flow, bit/s."""
        self.node.tune(netns)
        with self.client(netns, family).bulk(direction, seconds) as bulk:
            return float(bulk.result()["goodput_bps"])

    def assert_limited(self, netns: Namespace, **limits: int) -> None:
        """assert_limited(netns, ingress=20_000_000): by real traffic, in all these directions at once."""
        self.node.tune(netns)
        with contextlib.ExitStack() as stack:
            flows = {direction: stack.enter_context(self.client(netns).bulk(direction, 3)) for direction in limits}
            measured = {direction: float(flow.result()["goodput_bps"]) for direction, flow in flows.items()}
        for direction, limit in limits.items():
            # How exact natra is, other suites say; bytes of the first second may be delivered in the next.
            self.assert_rate(measured[direction], limit, 0.75, 1.15)

    def assert_unlimited(self, netns: Namespace, direction: str, limit: int) -> None:
        self.assertGreater(self.rate(netns, direction, seconds=2), 5 * limit)

    def wait_for(self, container: str) -> str:
        """natrad's object for a container that it has still to hear of."""
        path: list[str] = []

        def found() -> bool:
            path[:] = filter(None, [self.natrad.find(container)])
            return bool(path)

        self.assertTrue(eventually(found), self.natrad.log_tail())
        return path[0]


class CriPod:
    """A pod's sandbox. with pod: runs it, and stops and removes it."""

    def __init__(self, containerd: Containerd, number: int, annotations: dict[str, str], **options: Any) -> None:
        self._containerd = containerd
        self.config = PodConfig(f"pod{number}", f"00000000-0000-4000-8000-{number:012d}", annotations=annotations,
                                cgroup_parent=f"/{containerd.node.label}", **options)
        self.id = ""
        self._removed = False
        self.seconds = 0.0  # that starting it took

    def __enter__(self) -> CriPod:
        start = time.monotonic()
        self.id = self._containerd.cri.run(self.config)
        self.seconds = time.monotonic() - start
        return self

    def __exit__(self, *_: object) -> None:
        if not self._removed:
            self.stop()  # may be repeated
            self.remove()

    def stop(self) -> None:
        self._containerd.cri.stop(self.id)

    def remove(self) -> None:
        self._containerd.cri.remove(self.id)
        self._removed = True

    @property
    def status(self) -> PodStatus:
        return self._containerd.cri.pod_status(self.id)

    @property
    def netns(self) -> Namespace:
        return Namespace.existing(self.status.netns)


class ContainerdCase(RuntimeCase):
    """One containerd for the class; its chain is ptp and natra, and changed by use()."""

    containerd: ClassVar[Containerd]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.containerd = cls.enterClassContext(Containerd(cls.node, conflist(cls.node, Limiter.NATRA)))

    def use(self, chain: Json) -> None:
        """For the rest of the case; returns when containerd has read it."""
        self.addCleanup(self._use, conflist(self.node, Limiter.NATRA))
        self._use(chain)

    def _use(self, chain: Json) -> None:
        self.containerd.configure(chain)
        self.assertTrue(eventually(lambda: self.containerd.cri.network() == chain), "containerd reads its folder")

    def inventory(self) -> dict[str, Any]:
        cri = self.containerd.cri
        return {**super().inventory(), "sandboxes": sorted(cri.sandboxes()), "shims": self.containerd.shims()}

    def pod(self, ingress: str = "", egress: str = "", **options: Any) -> CriPod:  # type: ignore[override]
        return self.enterContext(self.new_pod(ingress, egress, **options))

    def new_pod(self, ingress: str = "", egress: str = "", *, annotations: dict[str, str] | None = None,
                **options: Any) -> CriPod:
        """Not yet running."""
        wanted = {key: value for key, value in ((INGRESS, ingress), (EGRESS, egress)) if value}
        return CriPod(self.containerd, self.node.next_pod(), {**wanted, **(annotations or {})}, **options)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
