# SPDX-License-Identifier: Apache-2.0
"""The plugin, run with exactly the environment and the stdin that a case wants, on a veth pair made by hand."""
from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

from lab import process
from lab.namespace import Namespace
from lab.node import Node

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
Json = dict[str, Any]


def each_version(cls: type) -> type:
    """Makes of every method each_NAME(self, version) a case for each version: test_NAME_1_0_0."""
    for name, method in list(vars(cls).items()):
        if name.startswith("each_"):
            for version in VERSIONS:
                setattr(cls, f"test_{name.removeprefix('each_')}__{version.replace('.', '_')}",
                        _bound(method, version))
    return cls


def _bound(method: Callable[[Any, str], None], version: str) -> Callable[[Any], None]:
    return lambda self: method(self, version)


def has_check(version: str) -> bool:
    return version not in ("0.3.0", "0.3.1")


def has_gc_and_status(version: str) -> bool:
    return version == "1.1.0"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a runtime sees of one run."""
    status: int
    out: str
    err: str
    seconds: float

    @property
    def result(self) -> Json:
        assert self.status == 0, f"failed: {self.out}{self.err}"
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def code(self) -> int:
        """0 for success."""
        return int(self._error()["code"]) if self.status else 0

    @property
    def message(self) -> str:
        return str(self._error()["msg"])

    def _error(self) -> Json:
        assert self.status == 1, f"exit status {self.status}: {self.out}{self.err}"
        found = json.loads(self.out)
        assert isinstance(found, dict) and {"code", "msg"} <= set(found) <= {"code", "msg", "details"}, self.out
        return found


def run(node: Node, verb: str, stdin: Json | str, **env: str) -> Answer:
    """env: CNI variables without their prefix, others as they are."""
    variables = {"CNI_COMMAND": verb, "CNI_PATH": str(node.build.shim.parent), **node.plugin_environment()}
    for name, value in env.items():
        variables[name if "_" in name else f"CNI_{name}"] = value
    text = stdin if isinstance(stdin, str) else json.dumps(stdin)
    start = time.monotonic()
    done = node.host.run([str(node.build.shim)], stdin=text, env=variables, check=False)
    return Answer(done.returncode, done.stdout, done.stderr, time.monotonic() - start)


class VethPod:
    """A namespace and a veth pair, as an earlier plugin of the chain leaves them."""

    def __init__(self, node: Node, *, mtu: int = 1500, container_id: str = "") -> None:
        self.node = node
        number = node.next_pod()
        self.container_id = container_id or f"{node.label}-veth{number}"
        self.netns: Namespace = node.add_namespace(f"veth{number}")
        self.host_device = f"veth{number}"
        self.host_address, self.address = f"100.64.{number}.1", f"100.64.{number}.2"
        host = node.host
        host.run(["ip", "link", "add", self.host_device, "mtu", str(mtu), "type", "veth",
                  "peer", "name", "eth0", "mtu", str(mtu), "netns", self.netns.name])
        for where, device, address in ((host, self.host_device, self.host_address),
                                       (self.netns, "eth0", self.address)):
            where.run(["ip", "addr", "add", f"{address}/24", "dev", device])
            where.run(["ip", "link", "set", device, "up"])
        self.host_mac, self.mac = (self._mac(host, self.host_device), self._mac(self.netns, "eth0"))

    @staticmethod
    def _mac(where: Namespace, device: str) -> str:
        return str(where.json(["ip", "-json", "link", "show", "dev", device])[0]["address"])

    def result(self, version: str) -> Json:
        """As the plugin that made the pair would have printed it."""
        address: Json = {"interface": 1, "address": f"{self.address}/24", "gateway": self.host_address}
        if version.startswith("0."):
            address = {"version": "4", **address}
        return {"cniVersion": version,
                "interfaces": [{"name": self.host_device, "mac": self.host_mac},
                               {"name": "eth0", "mac": self.mac, "sandbox": self.netns.path}],
                "ips": [address], "routes": [{"dst": "0.0.0.0/0", "gw": self.host_address}], "dns": {}}

    def conf(self, version: str, keys: Json | None = None, *, name: str = "cni-plugin-bandwidth-test") -> Json:
        return {"cniVersion": version, "name": name, "type": "bandwidth", "prevResult": self.result(version),
                **(keys or {})}

    def run(self, verb: str, conf: Json | str, **env: str) -> Answer:
        return run(self.node, verb, conf, **{"CONTAINERID": self.container_id, "NETNS": self.netns.path,
                                             "IFNAME": "eth0", **env})

    def limits(self) -> Json | None:
        """natrad's object for the pod, None if it has none."""
        assert self.node.natrad is not None
        path = self.node.natrad.find(self.container_id)
        return self.node.natrad.properties(path) if path else None

    def destroy(self) -> None:
        self.netns.delete()


ECHO = """
import socket, sys
server = socket.create_server((sys.argv[1], 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
while data := connection.recv(65536):
    connection.sendall(data)
"""
CLIENT = """
import socket, sys, time
address, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
start = time.monotonic()
with socket.create_connection((address, port), timeout=60) as connection:
    connection.sendall(bytes(size))
    left = size
    while left:
        left -= len(connection.recv(left))
print(time.monotonic() - start)
"""


def echo_seconds(client: Namespace, server: Namespace, address: str, size: int) -> float:
    """How long it takes to send so many bytes to a server and to get them back."""
    listening = server.start(["python3", "-c", ECHO, address])
    try:
        port = listening.first_line().strip()
        done = client.run(["python3", "-c", CLIENT, address, port, str(size)], timeout=90)
        return float(done.stdout)
    finally:
        listening.stop()


def delete_link(where: Namespace, device: str) -> None:
    process.run(where.command(["ip", "link", "del", device]), check=False)
