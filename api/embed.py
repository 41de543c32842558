# SPDX-License-Identifier: Apache-2.0
"""embed.py JSON CPP: the document as a C++ string; fails if it is no JSON."""
import json
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text(encoding="utf-8")
json.loads(text)
# Pieces: a compiler need not take literals of any length.
pieces = [text[at:at + 4000] for at in range(0, len(text), 4000)]
literals = "\n".join(f'R"openapi({piece})openapi"' for piece in pieces)
Path(sys.argv[2]).write_text(
    f'#include "api/openapi.hpp"\nconst std::string_view natra::api::openapi =\n{literals};\n', encoding="utf-8")
