# SPDX-License-Identifier: Apache-2.0
"""As much of the protobuf wire format as the CRI's calls need.

A message is a dict from field number to value: int (varint), str, bytes, a
message, or a list of these for a repeated field. A field that is 0, empty or
None is not sent, which is proto3's way of saying so.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Union

Value = Union[int, str, bytes, "Message", Sequence["Value"], None]
Message = Mapping[int, Value]
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def encode(message: Message) -> bytes:
    return b"".join(field(number, value) for number, value in message.items())


def field(number: int, value: Value) -> bytes:
    if isinstance(value, (list, tuple)):
        return b"".join(field(number, each) for each in value)
    if not value:
        return b""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    if isinstance(value, str):
        data = value.encode()
    elif isinstance(value, bytes):
        data = value
    else:
        assert isinstance(value, Mapping), type(value)
        data = encode(value)
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string_map(values: Mapping[str, str]) -> list[Message]:
    """map<string, string>."""
    return [{1: key, 2: value} for key, value in values.items()]


class Fields:
    """A received message: what each field holds is for the reader to say."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        at = 0
        while at < len(data):
            key, at = read_varint(data, at)
            value: int | bytes
            if key & 7 == VARINT:
                value, at = read_varint(data, at)
            else:
                if key & 7 == BYTES:
                    size, at = read_varint(data, at)
                else:
                    size = {FIXED64: 8, FIXED32: 4}[key & 7]
                value = data[at:at + size]
                if len(value) != size:
                    raise ValueError(f"field {key >> 3} is {size} bytes long and {len(value)} are left")
                at += size
            self._fields.setdefault(key >> 3, []).append(value)

    def text(self, number: int) -> str:
        return self.raw(number).decode()

    def raw(self, number: int) -> bytes:
        value = self._fields.get(number, [b""])[-1]
        assert isinstance(value, bytes), f"field {number} is a number"
        return value

    def number(self, number: int) -> int:
        value = self._fields.get(number, [0])[-1]
        assert isinstance(value, int), f"field {number} is no number"
        return value

    def message(self, number: int) -> Fields:
        return Fields(self.raw(number))

    def messages(self, number: int) -> list[Fields]:
        return [Fields(each) for each in self._fields.get(number, []) if isinstance(each, bytes)]

    def string_map(self, number: int) -> dict[str, str]:
        return {each.text(1): each.text(2) for each in self.messages(number)}


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The value, and where the next one begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at == len(data):
            raise ValueError("the message ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 10 bytes")
