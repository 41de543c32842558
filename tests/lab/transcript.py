# SPDX-License-Identifier: Apache-2.0
"""Pages whose commands a test executes as written: console blocks, with what each command prints."""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

MARK = "natra-end-of-command"
# After a command that ends with --daemon: it has to get as far as its socket, and nobody types faster. Says so if not.
DAEMON_PORT = 5201  # iperf3's
LISTENS = (f"for _ in {{1..300}}; do ss -ltnH 'sport = :{DAEMON_PORT}' | grep -q . && break; sleep 0.1; done; "
           f"ss -ltnH 'sport = :{DAEMON_PORT}' | grep -q . || echo 'nothing listens on port {DAEMON_PORT}'")


@dataclasses.dataclass(frozen=True)
class Step:
    command: str
    printed: str  # as the page has it

    @property
    def title(self) -> str:
        return self.command.splitlines()[0]

    def pattern(self) -> re.Pattern[str]:
        """'...' as a line of its own stands for any lines, even none; within a line for any text. '?' is one digit."""
        out = ""
        for line in self.printed.splitlines():
            if line == "...":
                out += r"(?:.*\n)*"
            else:
                out += ".*".join(re.escape(part).replace(r"\?", "[0-9]") for part in line.split("...")) + r"\n"
        return re.compile(rf"\A{out}\Z")


@dataclasses.dataclass(frozen=True)
class Answer:
    step: Step
    said: str  # on both streams, with the end of the last line
    status: int


def steps(text: str) -> list[Step]:
    """In the order of the page. "# " begins a command, "> " its next line."""
    out: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("# "):
                out.append(Step(line[2:], ""))
            elif line.startswith("> "):
                out[-1] = Step(f"{out[-1].command}\n{line[2:]}", out[-1].printed)
            else:
                out[-1] = Step(out[-1].command, f"{out[-1].printed}{line}\n")
    return out


def play(page: list[Step], shell: Callable[[str], str], before: str = "") -> list[Answer]:
    """In one shell, as at a prompt, so that what one command exports the next one has.

    shell: runs a script with bash and returns its standard output. Raises ValueError if it ended early.
    """
    script = f"{before}\nexec 2>&1\n"
    for step in page:
        pause = f"; {LISTENS}" if step.command.endswith("--daemon") else ""
        script += f"{step.command}\nstatus=$?{pause}; echo; echo {MARK} $status\n"
    said = shell(script)
    parts = re.split(rf"^{MARK} (\d+)\n", said, flags=re.MULTILINE)
    if len(parts) // 2 != len(page):
        raise ValueError(f"{len(parts) // 2} of {len(page)} commands ended: {said[-2000:]}")
    out = []
    for step, text, status in zip(page, parts[0::2], parts[1::2]):
        text = text.removesuffix("\n")  # the mark begins a line in any case
        if text and not text.endswith("\n"):
            text += "\n"
        out.append(Answer(step, text, int(status)))
    return out
