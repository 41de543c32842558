# SPDX-License-Identifier: Apache-2.0
"""The calls a kubelet makes for a pod's sandbox: runtime.v1.RuntimeService over gRPC.

Field numbers are those of the CRI's published API.
"""
from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# This process starts children all the time; they are no business of the channel's.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
import grpc  # noqa: E402

from .protobuf import Fields, Message, encode, string_map  # noqa: E402

SERVICE = "/runtime.v1.RuntimeService/"
READY = 0  # PodSandboxState
POD_NETWORK, NODE_NETWORK = 0, 2  # NamespaceMode


class CriError(RuntimeError):
    """The runtime said no. str() is what it said."""


@dataclasses.dataclass(frozen=True)
class PodConfig:
    name: str
    uid: str
    namespace: str = "lab"
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    host_network: bool = False
    cgroup_parent: str = ""
    name_server: str = "198.18.0.2"

    def message(self) -> Message:
        network = NODE_NETWORK if self.host_network else POD_NETWORK
        return {
            1: {1: self.name, 2: self.uid, 3: self.namespace},  # metadata
            2: "" if self.host_network else self.name,  # hostname
            4: {1: [self.name_server]},  # dns_config; else the machine's resolv.conf is copied
            6: string_map({"app": "lab"}),  # labels
            7: string_map(self.annotations),
            8: {1: self.cgroup_parent, 2: {1: {1: network}}}}  # linux: security_context.namespace_options


@dataclasses.dataclass(frozen=True)
class PodStatus:
    ready: bool
    address: str
    netns: str  # a path; empty for a pod in the host's network
    process: int


class RuntimeService:
    def __init__(self, socket: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix://{socket}", options=[
            ("grpc.enable_http_proxy", 0), ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200)])

    def close(self) -> None:
        self._channel.close()

    def version(self) -> str:
        answer = self._call("Version", {}, timeout=5)
        return f"{answer.text(2)} {answer.text(3)}"

    def status(self) -> dict[str, tuple[bool, str]]:
        """Conditions, as "NetworkReady": (False, "cni config uninitialized")."""
        answer = self._call("Status", {}, timeout=10).message(1)
        return {each.text(1): (bool(each.number(2)), each.text(4)) for each in answer.messages(1)}

    def network(self) -> Any:
        """The network configuration list in use, as its file has it; None if there is none."""
        info = self._call("Status", {1: 1}, timeout=10).string_map(2)
        # go-cni's own dump: the loopback network that it adds, and the one from the folder.
        networks = (json.loads(info.get("cniconfig", "null")) or {}).get("Networks") or []
        sources = [json.loads(each["Config"]["Source"]) for each in networks]
        return next((each for each in sources if each["name"] != "cni-loopback"), None)

    def run(self, pod: PodConfig, timeout: float = 40) -> str:
        """The sandbox' id."""
        return self._call("RunPodSandbox", {1: pod.message()}, timeout).text(1)

    def pod_status(self, sandbox: str) -> PodStatus:
        answer = self._call("PodSandboxStatus", {1: sandbox, 2: 1}, timeout=10)
        status = answer.message(1)
        info: dict[str, Any] = json.loads(answer.string_map(2)["info"])
        namespaces = (info.get("runtimeSpec") or {}).get("linux", {}).get("namespaces", [])
        netns = next((each.get("path", "") for each in namespaces if each["type"] == "network"), "")
        return PodStatus(status.number(3) == READY, status.message(5).text(1), netns, info.get("pid", 0))

    def sandboxes(self) -> list[str]:
        return [each.text(1) for each in self._call("ListPodSandbox", {}, timeout=10).messages(1)]

    def stop(self, sandbox: str, timeout: float = 40) -> None:
        self._call("StopPodSandbox", {1: sandbox}, timeout)

    def remove(self, sandbox: str, timeout: float = 40) -> None:
        self._call("RemovePodSandbox", {1: sandbox}, timeout)

    def _call(self, method: str, request: Message, timeout: float) -> Fields:
        call = self._channel.unary_unary(SERVICE + method, lambda data: data, lambda data: data)
        try:
            return Fields(call(encode(request), timeout=timeout, wait_for_ready=True))
        except grpc.RpcError as e:
            raise CriError(f"{method}: {e.code().name}: {e.details()}") from None  # type: ignore[attr-defined]
