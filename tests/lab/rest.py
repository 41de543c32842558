# SPDX-License-Identifier: Apache-2.0
"""natrad's REST interface, spoken to by curl as an operator does."""
from __future__ import annotations

import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

from . import process

MERGE_PATCH = "application/merge-patch+json"


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def parse(raw: bytes) -> Answer:
    """Of one HTTP message; raises ValueError for what is none, and for a body that is not whole."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        raise ValueError(f"no answer in {raw[:200]!r}")
    lines = head.decode("ascii").split("\r\n")
    version, status, _reason = lines[0].split(" ", 2)
    if version != "HTTP/1.1":
        raise ValueError(f"the first line is {lines[0]!r}")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if body and len(body) != int(headers["content-length"]):
        raise ValueError(f"{len(body)} bytes of a body of {headers['content-length']}")
    return Answer(int(status), headers, body.decode())


def parse_curl(text: str) -> Answer:
    """Of what curl prints, read as text: line ends are single characters there."""
    head, separator, body = text.partition("\n\n")
    return parse((head + separator).replace("\n", "\r\n").encode() + body.encode())


@dataclasses.dataclass(frozen=True)
class Rest:
    socket: Path

    def curl(self, path: str, *options: str, method: str = "GET", uid: int | None = None,
             gid: int | None = None, timeout: float = 30) -> Answer:
        """Raises CommandError where curl does not get an answer."""
        argv = ["curl", "--silent", "--show-error", "--include", "--path-as-is", "--max-time", str(timeout),
                "--unix-socket", str(self.socket), *options, f"http://localhost{path}"]
        argv[1:1] = ["--head"] if method == "HEAD" else ["--request", method]
        if uid is not None:
            argv = ["setpriv", f"--reuid={uid}", "--clear-groups", *([] if gid is None else [f"--regid={gid}"]), *argv]
        return parse_curl(process.run(argv, timeout=timeout + 10).stdout)

    def get(self, path: str) -> Answer:
        return self.curl(path)

    def patch(self, path: str, body: object, *options: str, content_type: str = MERGE_PATCH,
              uid: int | None = None) -> Answer:
        text = body if isinstance(body, str) else json.dumps(body)
        return self.curl(path, "--header", f"Content-Type: {content_type}", "--data-binary", text, *options,
                         method="PATCH", uid=uid)

    def delete(self, path: str, *options: str) -> Answer:
        return self.curl(path, *options, method="DELETE")

    def connect(self, timeout: float = 30) -> socket.socket:
        out = socket.socket(socket.AF_UNIX)
        out.settimeout(timeout)
        out.connect(str(self.socket))
        return out

    def raw(self, data: bytes, timeout: float = 30) -> bytes:
        """Sends it, says that there is no more, and returns all that comes back."""
        out = b""
        with self.connect(timeout) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError):
                pass  # answered before all was sent
            try:
                while piece := connection.recv(65536):
                    out += piece
            except ConnectionResetError:
                pass  # likewise
        return out


def change_one(rest: Rest, attachment: str, rate: int, direction: str = "ingress") -> None:
    """Without a process for it: many follow one another quickly. Raises RuntimeError if it is refused."""
    body = json.dumps({direction: {"rate": rate}}).encode()
    head = (f"PATCH /v1/pods/{attachment}/limits HTTP/1.1\r\nHost: localhost\r\nContent-Type: {MERGE_PATCH}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    answer = rest.raw(head.encode() + body)
    if b" 200 " not in answer.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"a change of limits was answered {answer[:200]!r}")
