# SPDX-License-Identifier: Apache-2.0
"""What the suites of the REST interface share."""
from __future__ import annotations

from typing import Any

from lab import schema
from lab.natrad import Natrad
from lab.node import Node
from lab.pod import Pod
from lab.rest import Answer, Rest
from support import NodeCase

OTHER_USER = 65534


class RestCase(NodeCase):
    """A node whose natrad serves on a socket of its own."""

    natrad_env = None
    rest: Rest
    document: Any

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.natrad = cls.start(cls.node)
        cls.rest = Rest(cls.node.folder / "api.sock")
        cls.document = cls.rest.get("/openapi.json").json

    @classmethod
    def start(cls, node: Node, **env: str) -> Natrad:
        return node.start_natrad(**env, **cls.socket_of(node))

    @staticmethod
    def socket_of(node: Node) -> dict[str, str]:
        node.folder.chmod(0o711)  # other users are to reach it
        return {"NATRA_API_SOCKET": str(node.folder / "api.sock")}

    def path_of(self, pod: Pod) -> str:
        return f"/v1/pods/lab/pod{pod.number}"

    def valid(self, answer: Answer, path: str, method: str = "GET") -> Answer:
        """The answer is one that the document has for this path and method."""
        responses = self.document["paths"][path][method.lower()]["responses"]
        documented = schema.resolve(self.document, responses.get(str(answer.status), responses["default"]))
        # Not the default: that is for what can happen anywhere.
        if answer.status in (304, 412):
            self.assertIn(str(answer.status), responses, f"{method} {path}")
        if "content" in documented:
            media = answer.headers["content-type"].partition(";")[0]
            self.assertIn(media, documented["content"], f"{method} {path}")
            if media != "text/plain":
                self.assertEqual(schema.violations(self.document, documented["content"][media]["schema"], answer.json),
                                 [], f"{method} {path}: {answer.body}")
        else:
            self.assertEqual(answer.body, "", f"{method} {path}")
            self.assertNotIn("content-type", answer.headers)
        for name in documented.get("headers", {}):
            self.assertIn(name.lower(), answer.headers)
        return answer

    def problem(self, answer: Answer, status: int, field: str | None = None, value: object = None) -> dict[str, Any]:
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        reference = {"$ref": "#/components/schemas/Problem"}
        self.assertEqual(schema.violations(self.document, reference, answer.json), [])
        self.assertEqual(answer.json["status"], status)
        if field is not None:
            self.assertEqual((answer.json["field"], answer.json["value"]), (field, value), answer.body)
            self.assertIn(field, answer.json["detail"])
        found: dict[str, Any] = answer.json
        return found
