# SPDX-License-Identifier: Apache-2.0
"""Where the executables are: a meson build directory."""
from __future__ import annotations

import dataclasses
from pathlib import Path

# Debian's containernetworking-plugins, and where upstream's own archive is usually unpacked.
STOCK_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin")


@dataclasses.dataclass(frozen=True)
class Build:
    folder: Path

    @property
    def natrad(self) -> Path:
        return self.folder / "daemon" / "natrad"

    @property
    def shim(self) -> Path:
        return self.folder / "cni-shim" / "natra"

    @property
    def traffic(self) -> Path:
        return self.folder / "tests" / "tools" / "natra-traffic"

    @property
    def rest_load(self) -> Path:
        return self.folder / "tests" / "tools" / "natra-rest-load"

    @property
    def fake_polkit(self) -> Path:
        return self.folder / "tests" / "tools" / "fake-polkit"

    @property
    def bus_flood(self) -> Path:
        return self.folder / "tests" / "tools" / "natra-bus-flood"

    def cni_path(self) -> list[Path]:
        return [self.shim.parent, *map(Path, STOCK_FOLDERS)]

    def missing(self, *, natra: bool = True) -> list[str]:
        """What is not there of what is needed, as sentences."""
        needed = [self.traffic] + ([self.natrad, self.shim] if natra else [])
        out = [f"{path} is not built" for path in needed if not path.is_file()]
        for plugin in ("ptp", "host-local", "bandwidth"):
            if not any((folder / plugin).is_file() for folder in self.cni_path()):
                out.append(f"the CNI plugin '{plugin}' is in none of {', '.join(STOCK_FOLDERS)}")
        return out
