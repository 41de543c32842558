# SPDX-License-Identifier: Apache-2.0
"""tidy_units.py BUILD OUT SOURCE...

Makes one translation unit a program of SOURCEs, for clang-tidy: nearly all of
its time goes to the headers of others, which are then parsed once. Writes
OUT/NAME.cpp and OUT/compile_commands.json, with the flags of all sources in
BUILD, and prints the units' paths. What BUILD generates must be there.
"""
from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

FLAGS = ("-I", "-D", "-isystem", "-std=")
# Folders with a main() of their own; everything else is natrad.
PROGRAMS = ("cni-shim", "natractl")


def flags(build: Path) -> list[str]:
    """Those that decide what a source means, in their order; warnings are the compiler's business."""
    out: dict[str, None] = {}
    for command in json.loads((build / "compile_commands.json").read_text()):
        if command["file"].startswith("tests/") or "/tests/" in command["file"]:
            continue
        words = iter(shlex.split(command["command"]))
        for word in words:
            if word == "-isystem":
                out[f"-isystem{next(words)}"] = None
            elif word.startswith(FLAGS):
                out[word] = None
    return list(out)


def main(build: Path, out: Path, sources: list[str]) -> None:
    units: dict[str, list[Path]] = {}
    for source in sources:
        folder = source.partition("/")[0]
        units.setdefault(folder if folder in PROGRAMS else "natrad", []).append(Path(source).resolve())
    out.mkdir(parents=True, exist_ok=True)
    common = flags(build)
    commands = []
    for name, members in units.items():
        unit = out / f"{name}.cpp"
        unit.write_text("".join(f'#include "{each}"\n' for each in members))
        commands.append({"directory": str(build), "file": str(unit),
                         "arguments": ["c++", *common, "-c", str(unit), "-o", f"{name}.o"]})
        print(unit)
    (out / "compile_commands.json").write_text(json.dumps(commands))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3:])
