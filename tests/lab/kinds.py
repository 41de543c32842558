# SPDX-License-Identifier: Apache-2.0
"""Networks that connect a pod by something else than ptp's veth pair.

    kind = KINDS["macvlan"]
    with Pod(node, Limiter.NATRA, limits, **kind.connect(node)) as pod: ...

Those with a master have the node's uplink for it, so that the peer is a
neighbour of the pod (l2, macvlan, vlan) or routes to it (l3, l3s).
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from . import cni
from .node import PEER_V4, PEER_V6, Node
from .pod import POD_V4, POD_V6, Limiter

Ranges = list[list[dict[str, str]]]

DEFAULT_ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
ROUTED: Ranges = [[{"subnet": POD_V4}], [{"subnet": POD_V6}]]
# A part of the uplink's own subnets.
NEIGHBOURS: Ranges = [[{"subnet": "198.18.0.0/24", "rangeStart": "198.18.0.16", "rangeEnd": "198.18.0.240"}],
                      [{"subnet": "fd6e:6174::/64", "rangeStart": "fd6e:6174::1:0", "rangeEnd": "fd6e:6174::1:ff"}]]
VLAN = 5
VLAN_RANGES: Ranges = [[{"subnet": "198.18.5.0/24", "rangeStart": "198.18.5.16"}],
                       [{"subnet": "fd6e:6174:5::/64", "rangeStart": "fd6e:6174:5::1:0"}]]
VLAN_PEER = {4: "198.18.5.2", 6: "fd6e:6174:5::2"}
# A second address of the peer, for a pod with a second network.
OTHER_PEER_V4 = "198.18.128.2"
OTHER_POD_V4 = "198.20.0.0/16"


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    main: Mapping[str, Any]  # the main plugin's configuration
    ranges: Ranges
    routes: list[dict[str, str]]
    link: tuple[str, ...]  # what `ip link add ... type` takes, to find out whether the kernel has it
    host_side: bool = False
    peer: Mapping[int, str] = dataclasses.field(default_factory=lambda: {4: PEER_V4, 6: PEER_V6})

    def missing(self, node: Node) -> str:
        """Why it cannot be had here; empty if it can."""
        plugin = self.main["type"]
        if not any((folder / plugin).is_file() for folder in node.build.cni_path()):
            return f"the CNI plugin '{plugin}' is not installed"
        scratch = node.add_namespace("probe")
        try:
            scratch.run(["ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"])
            made = scratch.run(["ip", "link", "add", "link", "probe0", "name", "probe2", "type", *self.link],
                               check=False)
            return "" if made.returncode == 0 else f"this kernel has no {self.name}: {made.stderr.strip()}"
        finally:
            scratch.delete()

    def conflist(self, node: Node, limiter: Limiter = Limiter.NATRA, *, network: str = "lab",
                 **limiter_keys: Any) -> cni.Json:
        """The network configuration: the main plugin, and the limiter behind it."""
        ipam = {"type": "host-local", "dataDir": str(node.folder / "ipam"), "ranges": self.ranges,
                "routes": self.routes}
        plugins: list[dict[str, Any]] = [{**self.main, "ipam": ipam}]
        if limiter is not Limiter.NONE:
            plugins.append({"type": limiter.value, "capabilities": {"bandwidth": True}, **limiter_keys})
        return {"cniVersion": "1.0.0", "name": network, "plugins": plugins}

    def connect(self, node: Node, limiter: Limiter = Limiter.NATRA, **keys: Any) -> dict[str, Any]:
        """Keyword arguments for Pod; prepares the peer."""
        if self.name == "vlan":
            add_vlan(node)
        return {"config": self.conflist(node, limiter, **keys), "peer": self.peer}


def add_vlan(node: Node) -> None:
    device = f"eth0.{VLAN}"
    if device in node.peer.links():
        return
    node.peer.run(["ip", "link", "add", "link", "eth0", "name", device, "type", "vlan", "id", str(VLAN)])
    node.peer.run(["ip", "addr", "add", f"{VLAN_PEER[4]}/24", "dev", device])
    node.peer.run(["ip", "-6", "addr", "add", f"{VLAN_PEER[6]}/64", "dev", device, "nodad"])
    node.peer.run(["ip", "link", "set", device, "up"])


def add_other_network(node: Node) -> Kind:
    """A second ptp network, which leads to OTHER_PEER_V4 and nowhere else."""
    node.peer.run(["ip", "addr", "add", f"{OTHER_PEER_V4}/32", "dev", "lo"], check=False)
    node.host.run(["ip", "route", "replace", OTHER_PEER_V4, "via", PEER_V4])
    return dataclasses.replace(
        KINDS["ptp"], ranges=[[{"subnet": OTHER_POD_V4}]], routes=[{"dst": f"{OTHER_PEER_V4}/32"}],
        peer={4: OTHER_PEER_V4})


def ipvlan(mode: str) -> Kind:
    routed = mode != "l2"
    return Kind(f"ipvlan {mode}", {"type": "ipvlan", "master": "uplink", "mode": mode, "mtu": 1500},
                ROUTED if routed else NEIGHBOURS, DEFAULT_ROUTES if routed else [], ("ipvlan", "mode", mode))


KINDS: Mapping[str, Kind] = {each.name: each for each in (
    Kind("ptp", {"type": "ptp", "mtu": 1500}, ROUTED, DEFAULT_ROUTES, ("dummy",), host_side=True),
    Kind("bridge", {"type": "bridge", "bridge": "natra0", "isGateway": True, "mtu": 1500}, ROUTED, DEFAULT_ROUTES,
         ("bridge",), host_side=True),
    Kind("macvlan", {"type": "macvlan", "master": "uplink", "mode": "bridge", "mtu": 1500}, NEIGHBOURS, [],
         ("macvlan", "mode", "bridge")),
    Kind("vlan", {"type": "vlan", "master": "uplink", "vlanId": VLAN, "mtu": 1500}, VLAN_RANGES, [],
         ("vlan", "id", str(VLAN)), peer=VLAN_PEER),
    ipvlan("l2"), ipvlan("l3"), ipvlan("l3s"))}
