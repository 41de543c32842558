# SPDX-License-Identifier: Apache-2.0
"""A pod: a network namespace on a node, connected and limited by a CNI chain."""
from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from . import cni
from .built import Built
from .namespace import Namespace
from .node import PEER_V4, PEER_V6, Node
from .traffic import Client

POD_V4 = "198.19.0.0/16"
POD_V6 = "fd6e:6174:1::/64"


class Limiter(enum.Enum):
    NONE = "none"
    STOCK = "bandwidth"
    NATRA = "natra"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Rates in bit/s, bursts in bits, 0: not limited; as a runtime sends them."""
    ingress_rate: int = 0
    egress_rate: int = 0
    ingress_burst: int = cni.CONTAINERD_BURST
    egress_burst: int = cni.CONTAINERD_BURST

    def capability(self) -> dict[str, int]:
        """runtimeConfig.bandwidth in containerd's spelling."""
        out = {}
        for name, rate, burst in (("Ingress", self.ingress_rate, self.ingress_burst),
                                  ("Egress", self.egress_rate, self.egress_burst)):
            out[f"{name}Rate"] = rate
            out[f"{name}Burst"] = burst if rate else 0
        return out


def conflist(node: Node, limiter: Limiter, *, version: str = "1.0.0", static: dict[str, Any] | None = None,
             main: dict[str, Any] | None = None) -> cni.Json:
    """The network configuration: ptp, or another main plugin, and the limiter behind it."""
    first = main or {"type": "ptp", "mtu": 1500}
    ipam = {"type": "host-local", "dataDir": str(node.folder / "ipam"),
            "ranges": [[{"subnet": POD_V4}], [{"subnet": POD_V6}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}
    plugins: list[dict[str, Any]] = [{**first, "ipam": ipam}]
    if limiter is not Limiter.NONE:
        plugins.append({"type": limiter.value, "capabilities": {"bandwidth": True}, **(static or {})})
    return {"cniVersion": version, "name": "lab", "plugins": plugins}


class Pod(Built):
    """with Pod(node, Limiter.NATRA, Limits(...)) as pod: ADD on entry, DEL on exit.

    beside: another interface of that pod, in a network of its own, as multus adds it.
    peer: the peer's addresses by family, as seen from that network.
    """

    def __init__(self, node: Node, limiter: Limiter = Limiter.NATRA, limits: Limits = Limits(), *,
                 config: cni.Json | None = None, interface: str = "eth0", beside: Pod | None = None,
                 peer: Mapping[int, str] | None = None) -> None:
        self.node = node
        self.limits = limits
        self.interface = interface
        self._beside = beside
        self._peer = peer or {4: PEER_V4, 6: PEER_V6}
        self.number = beside.number if beside else node.next_pod()
        # Of a pod that is not there yet they may be changed.
        self.container_id = f"{node.label}-pod{self.number}"
        self.pod_namespace, self.pod_name = "lab", f"pod{self.number}"
        self.chain = cni.Chain(config or conflist(node, limiter), node.build.cni_path(), node.host,
                               node.plugin_environment())
        self.namespace: Namespace | None = None

    def _build_up(self) -> None:
        self.create()
        self.add()

    def _take_down(self) -> None:
        try:
            self.delete()
        finally:
            self.destroy()

    @property
    def netns(self) -> Namespace:
        assert self.namespace is not None, "the pod has no namespace now"
        return self.namespace

    @property
    def attachment(self) -> cni.Attachment:
        capabilities = {}
        if self.limits.ingress_rate or self.limits.egress_rate:
            capabilities["bandwidth"] = self.limits.capability()
        return cni.Attachment(
            self.container_id, self.namespace.path if self.namespace else "", self.interface, capabilities,
            {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": self.pod_namespace, "K8S_POD_NAME": self.pod_name,
             "K8S_POD_INFRA_CONTAINER_ID": self.container_id,
             "K8S_POD_UID": f"00000000-0000-4000-8000-{self.number:012d}"})

    def create(self) -> None:
        if self._beside is not None:
            self.namespace = self._beside.netns
            return
        self.namespace = self.node.add_namespace(f"pod{self.number}")
        self.node.tune(self.namespace)

    def add(self) -> cni.Json:
        return self.chain.add(self.attachment)

    def delete(self) -> None:
        self.chain.delete(self.attachment)

    def destroy(self) -> None:
        """The namespace goes, as when a pod's sandbox ends."""
        if self.namespace is not None and self._beside is None:
            self.namespace.delete()
        self.namespace = None

    @property
    def host_device(self) -> str:
        """The veth's host side, as the chain's result names it."""
        result = self.chain.result_of(self.attachment)
        assert result is not None, "the pod is not connected"
        return next(each["name"] for each in result["interfaces"] if not each.get("sandbox"))

    def client(self, family: int = 4) -> Client:
        """For traffic between this pod and the peer, over IPv4 or IPv6."""
        return Client(self.netns, self.node.server, self._peer[family])

    def object_path(self) -> str:
        """natrad's object for this pod."""
        assert self.node.natrad is not None
        path = self.node.natrad.find(self.container_id, self.interface)
        if path is None:
            raise LookupError(f"natrad has no attachment for {self.container_id}")
        return path
