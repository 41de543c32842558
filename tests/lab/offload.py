# SPDX-License-Identifier: Apache-2.0
"""Switches a device's offloads, as `ethtool -K` does: offload.py DEVICE NAME=on|off..."""
from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys
from pathlib import Path

SIOCETHTOOL = 0x8946
# ETHTOOL_SRXCSUM and the like; the command that asks is one below.
COMMANDS = {"tso": 0x1F, "gso": 0x24, "gro": 0x2C}


def ethtool(device: str, command: int, value: int = 0) -> int:
    """struct ethtool_value through struct ifreq. Raises OSError."""
    data = array.array("I", [command, value])
    request = struct.pack("16sP8x", device.encode(), data.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, request)
    return data[1]


def switch(device: str, name: str, wanted: bool) -> None:
    ethtool(device, COMMANDS[name], int(wanted))
    # Some devices take a wish for a deed.
    if bool(ethtool(device, COMMANDS[name] - 1)) != wanted:
        raise OSError(f"{device}: {name} does not change")


def command(device: str, **offloads: bool) -> list[str]:
    """For the namespace that has the device: command("eth0", gso=False)."""
    words = [f"{name}={'on' if wanted else 'off'}" for name, wanted in offloads.items()]
    return [sys.executable, str(Path(__file__).resolve()), device, *words]


if __name__ == "__main__":
    for word in sys.argv[2:]:
        switch(sys.argv[1], word.partition("=")[0], word.endswith("=on"))
