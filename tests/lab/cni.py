# SPDX-License-Identifier: Apache-2.0
"""Runs a chain of CNI plugins the way libcni does for a container runtime."""
from __future__ import annotations

import base64
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import process
from .namespace import Namespace

Json = dict[str, Any]

# What the runtimes send as burst when all they know is the rate (bits).
CONTAINERD_BURST = 2**32 - 1
CRIO_BURST = 2**35 - 1 - 8


class CniError(RuntimeError):
    """A plugin's error object."""

    def __init__(self, plugin: str, verb: str, code: int, message: str) -> None:
        super().__init__(f"{plugin} {verb}: code {code}: {message}")
        self.plugin = plugin
        self.code = code
        self.message = message


@dataclasses.dataclass(frozen=True)
class Attachment:
    """One container's place in a network: what a runtime keeps between ADD and DEL."""
    container_id: str
    netns: str
    interface: str = "eth0"
    capabilities: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    args: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Chain:
    """conflist: a network configuration list as parsed JSON. Plugins run inside `host`."""

    def __init__(self, conflist: Json, path: Sequence[Path], host: Namespace,
                 env: Mapping[str, str] | None = None) -> None:
        self.conflist = conflist
        self._path = list(path)
        self._host = host
        self._env = dict(env or {})
        self._results: dict[tuple[str, str], Json] = {}
        self.seconds: dict[tuple[str, str], list[float]] = {}  # by (plugin type, verb)

    def add(self, attachment: Attachment) -> Json:
        """The chain's result. On an error nothing is undone, as in libcni: the runtime sends DEL."""
        result: Json | None = None
        for plugin in self.conflist["plugins"]:
            result = self._run("ADD", plugin, attachment, result)
        assert result is not None, "an ADD without a result"
        self._results[attachment.container_id, attachment.interface] = result
        return result

    def check(self, attachment: Attachment) -> None:
        result = self._results[attachment.container_id, attachment.interface]
        for plugin in self.conflist["plugins"]:
            self._run("CHECK", plugin, attachment, result)

    def delete(self, attachment: Attachment) -> None:
        """May be repeated; without an earlier ADD the plugins get no prevResult."""
        result = self._results.pop((attachment.container_id, attachment.interface), None)
        for plugin in reversed(self.conflist["plugins"]):
            self._run("DEL", plugin, attachment, result)

    def run_one(self, verb: str, plugin_type: str, attachment: Attachment,
                result: Json | None) -> Json | None:
        """One plugin of the chain alone."""
        plugin = next(each for each in self.conflist["plugins"] if each["type"] == plugin_type)
        return self._run(verb, plugin, attachment, result)

    def cached(self, attachment: Attachment) -> Json:
        """What libcni keeps of an ADD, in a file of the cache."""
        return {"kind": "cniCacheV1", "containerId": attachment.container_id,
                "config": base64.b64encode(json.dumps(self.conflist).encode()).decode(),
                "ifName": attachment.interface, "networkName": self.conflist["name"],
                "cniArgs": [[key, value] for key, value in attachment.args.items()],
                "capabilityArgs": dict(attachment.capabilities), "result": self.result_of(attachment)}

    def result_of(self, attachment: Attachment) -> Json | None:
        return self._results.get((attachment.container_id, attachment.interface))

    def _run(self, verb: str, plugin: Json, attachment: Attachment, result: Json | None) -> Json | None:
        conf = {"cniVersion": self.conflist["cniVersion"], "name": self.conflist["name"], **plugin}
        offered = {name: attachment.capabilities[name]
                   for name, wanted in plugin.get("capabilities", {}).items()
                   if wanted and name in attachment.capabilities}
        if offered:
            conf["runtimeConfig"] = offered
        if result is not None:
            conf["prevResult"] = result
        return self.execute(verb, plugin["type"], json.dumps(conf), attachment)

    def execute(self, verb: str, plugin_type: str, stdin: str, attachment: Attachment) -> Json | None:
        """One run of a plugin with exactly this input. Raises CniError."""
        env = {"CNI_COMMAND": verb, "CNI_CONTAINERID": attachment.container_id,
               "CNI_NETNS": attachment.netns, "CNI_IFNAME": attachment.interface,
               "CNI_ARGS": ";".join(f"{k}={v}" for k, v in attachment.args.items()),
               "CNI_PATH": ":".join(map(str, self._path)), **self._env}
        start = time.monotonic()
        done = self._host.run([self._find(plugin_type)], stdin=stdin, env=env, check=False)
        self.seconds.setdefault((plugin_type, verb), []).append(time.monotonic() - start)
        try:
            answer = json.loads(done.stdout) if done.stdout.strip() else None
        except json.JSONDecodeError:
            raise process.CommandError([plugin_type, verb], done.returncode, done.stdout,
                                       f"standard output is not JSON: {done.stdout[:500]}") from None
        if done.returncode == 0:
            return answer
        if not isinstance(answer, dict) or "code" not in answer:
            raise process.CommandError([plugin_type, verb], done.returncode, done.stdout, done.stderr)
        raise CniError(plugin_type, verb, answer["code"], answer["msg"])

    def _find(self, plugin_type: str) -> str:
        for folder in self._path:
            if self._host.has_file(folder / plugin_type):
                return str(folder / plugin_type)
        raise FileNotFoundError(f"CNI plugin '{plugin_type}' is in none of {self._path}")
