# SPDX-License-Identifier: Apache-2.0
"""What a device puts before the IP header, or makes of what the sender asked of it."""
from __future__ import annotations

import json
import sys

from lab.kinds import KINDS, VLAN_PEER
from lab.pod import Limiter, Limits, Pod
from lab.traffic import DIRECTIONS
from support import RATE, TIME_FACTOR, NodeCase

# The other end of the pod's tun device eth0. A UDP flow and one small datagram every 20 ms go through it, for so many
# seconds: out of the pod, and counted where they leave the device, or to it, and counted where they arrive.
TUN = """
import fcntl, json, os, select, socket, struct, sys, threading, time
direction, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"eth0", IFF_TUN | IFF_NO_PI))
here, there = "198.18.9.2", "198.18.9.1"
BULK, SMALL = 1000, 1001

def sockets(address):
    out = {}
    for port in (BULK, SMALL):
        out[port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out[port].setsockopt(socket.SOL_SOCKET, 33, 1 << 22)
        out[port].bind((address, port))
    return out

inside = sockets(here)

def datagram(port, data):
    udp = struct.pack("!HHHH", port, port, 8 + len(data), 0) + data
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, *map(socket.inet_aton, (there, here)))
    words = struct.unpack("!10H", ip)
    total = sum(words)
    total = (total & 0xffff) + (total >> 16)
    return ip[:10] + struct.pack("!H", ~total & 0xffff) + ip[12:] + udp

def send(port, data):
    if direction == "egress":
        try:
            inside[port].sendto(data, socket.MSG_DONTWAIT, (there, port))
        except BlockingIOError:
            pass
    else:
        os.write(tun, datagram(port, data))

def sender():
    begin, sent, small = time.monotonic(), 0, 0
    while (now := time.monotonic() - begin) < seconds:
        if sent * 8 < rate * now:
            send(BULK, bytes(1000))
            sent += 1028
        elif small < now / 0.02:
            send(SMALL, struct.pack("d", time.monotonic()))
            small += 1
        else:
            time.sleep(0.0005)

def receive():
    ready = select.select([tun] if direction == "egress" else list(inside.values()), [], [], 0.1)[0]
    for each in ready:
        if each == tun:
            packet = os.read(tun, 2000)
            if packet[0] == 0x45 and packet[9] == 17:
                yield struct.unpack("!H", packet[22:24])[0], packet[28:]
        else:
            yield each.getsockname()[1], each.recv(2000)

thread = threading.Thread(target=sender)
thread.start()
begin, counted, waits = time.monotonic(), 0, []
while (now := time.monotonic()) < begin + seconds:
    for port, data in receive():
        if port == SMALL:
            waits.append(time.monotonic() - struct.unpack("d", data)[0])
        elif now > begin + 1:
            counted += 28 + len(data)
thread.join()
print(json.dumps({"bps": 8 * counted / (seconds - 1), "small": len(waits), "wait": sorted(waits)[len(waits) // 2]}))
"""


class Tun(NodeCase):
    """A device whose packets begin with their IP header: tun, as a virtual private network of the pod's has it."""

    def test_is_limited_and_its_flows_are_known(self) -> None:
        pod = Pod(self.node)
        pod.create()
        self.addCleanup(pod.destroy)
        for argv in (("tuntap", "add", "eth0", "mode", "tun"), ("addr", "add", "198.18.9.2/24", "dev", "eth0"),
                     ("link", "set", "eth0", "up")):
            pod.netns.run(["ip", *argv])
        conf = {"cniVersion": "1.0.0", "name": "lab", "type": "natra", "ingressRate": RATE, "ingressBurst": RATE // 10,
                "egressRate": RATE, "egressBurst": RATE // 10, "prevResult": {"cniVersion": "1.0.0"}}
        pod.chain.execute("ADD", "natra", json.dumps(conf), pod.attachment)
        for again in (False, True):
            if again:  # a record of a natrad that did not ask what the device is
                self.natrad.kill()
                self.natrad.start()
            for direction in DIRECTIONS:
                with self.subTest(f"{direction}, {'adopted' if again else 'new'}"):
                    self.flood(pod, direction)
        pod.chain.execute("CHECK", "natra", json.dumps(conf), pod.attachment)
        pod.chain.execute("DEL", "natra", json.dumps(conf), pod.attachment)

    def flood(self, pod: Pod, direction: str) -> None:
        shown = pod.netns.run([sys.executable, "-c", TUN, direction, str(2 * RATE), "4"], timeout=120).stdout
        result = json.loads(shown)
        self.assert_rate(result["bps"], RATE, 0.2 if TIME_FACTOR > 1 else 0.75, 1.05)
        self.assertGreater(result["small"], 100)
        self.assertLess(result["wait"], 0.015)
        ends = ("198.18.9.2", "198.18.9.1")
        flows = self.natrad.heavy_flows(pod.object_path(), direction)
        self.assertEqual({(flow["Source"], flow["SourcePort"], flow["Destination"]) for flow in flows},
                         {(*(ends[:1] if direction == "egress" else ends[1:]), 1000,
                           *(ends[1:] if direction == "egress" else ends[:1]))})


# The 802.1p priorities of so many datagrams to port 9, or of those that a device receives in five seconds.
PRIORITIES = """
import json, socket, struct, sys, time
SOL_PACKET, PACKET_AUXDATA, ETH_P_ALL = 263, 8, 3
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
tap.bind(("eth0", ETH_P_ALL))
tap.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
tap.settimeout(5)
print("ready", flush=True)
seen, end = [], time.monotonic() + 5
while len(seen) < int(sys.argv[1]) and time.monotonic() < end:
    try:
        packet, control, *_ = tap.recvmsg(100, 100)
    except TimeoutError:
        break
    tag = next((struct.unpack("IIIHHHH", data)[5] for _, kind, data in control if kind == PACKET_AUXDATA), 0)
    if packet[12:14] == bytes((0x81, 0)):
        tag, packet = struct.unpack("!H", packet[14:16])[0], packet[4:]
    if packet[12:14] == bytes((8, 0)) and packet[23] == 17 and packet[36:38] == bytes((0, 9)):
        seen.append(tag >> 13)
print(json.dumps(seen))
"""

SEND_WITH_PRIORITY = """
import socket, sys
address, priority, size, count = sys.argv[1], *map(int, sys.argv[2:])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, priority)
for _ in range(count):
    sender.sendto(bytes(size), (address, 9))
"""


class VlanPriority(NodeCase):
    def test_packets_keep_their_priority(self) -> None:
        """SO_PRIORITY is what the device makes the tag's 802.1p bits of, behind the shaper."""
        kind = KINDS["vlan"]
        if reason := kind.missing(self.node):
            self.skipTest(reason)
        pod = self.enterContext(Pod(self.node, Limiter.NATRA, Limits(RATE, RATE), **kind.connect(self.node)))
        pod.netns.run(["ip", "link", "set", "eth0", "type", "vlan", "egress-qos-map", "0:1", "5:5"])
        for priority, expected, size, count in ((5, 5, 20, 10), (0, 1, 20, 10), (5, 5, 1000, 100), (0, 1, 1000, 100)):
            with self.subTest(f"priority {priority}, {count} datagrams of {size} bytes"):
                tap = self.node.peer.start([sys.executable, "-c", PRIORITIES, str(count)])
                self.addCleanup(tap.stop)
                self.assertEqual(tap.first_line().strip(), "ready")
                pod.netns.run([sys.executable, "-c", SEND_WITH_PRIORITY, VLAN_PEER[4], str(priority), str(size),
                               str(count)])
                seen = tap.result(60)
                self.assertGreater(len(seen), count // 2)
                self.assertEqual(set(seen), {expected})
