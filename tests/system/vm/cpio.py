# SPDX-License-Identifier: Apache-2.0
"""Writes cpio archives of the "newc" kind, which the kernel unpacks as its
first root file system. Several archives one after the other count as one, and
a later file replaces an earlier one of the same name."""
from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO


class Archive:
    """Paths are absolute; directories leading to a file are made as needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        self._file: BinaryIO = open(self._partial, "wb")
        self._inode = 0
        self._seen: set[str] = {"/"}

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self._entry("TRAILER!!!", 0, b"")
            self._file.write(b"\0" * (-self._file.tell() % 512))
        self._file.close()
        if kind is None:
            self._partial.rename(self._path)
        else:
            self._partial.unlink()

    def has(self, path: str) -> bool:
        return path in self._seen

    def directory(self, path: str, mode: int = 0o755) -> None:
        if self._parents_and_mark(path):
            self._entry(path.lstrip("/"), stat.S_IFDIR | mode, b"")

    def content(self, path: str, data: bytes, mode: int = 0o644, mtime: int = 0) -> None:
        if self._parents_and_mark(path):
            self._entry(path.lstrip("/"), stat.S_IFREG | mode, data, mtime)

    def symlink(self, path: str, target: str) -> None:
        if self._parents_and_mark(path):
            self._entry(path.lstrip("/"), stat.S_IFLNK | 0o777, os.fsencode(target))

    def copy(self, path: str, source: Path) -> None:
        """A file, a symbolic link or an (empty) directory, as it is at `source`."""
        mode = source.lstat().st_mode
        if stat.S_ISLNK(mode):
            self.symlink(path, os.readlink(source))
        elif stat.S_ISDIR(mode):
            self.directory(path, stat.S_IMODE(mode))
        elif stat.S_ISREG(mode) and not self.has(path):
            # Python trusts a compiled module only if its source has the time it was made from.
            self.content(path, source.read_bytes(), stat.S_IMODE(mode), int(source.stat().st_mtime))

    def _parents_and_mark(self, path: str) -> bool:
        assert path.startswith("/"), path
        if path in self._seen:
            return False
        self.directory(os.path.dirname(path))
        self._seen.add(path)
        return True

    def _entry(self, name: str, mode: int, data: bytes, mtime: int = 0) -> None:
        self._inode += 1
        encoded = os.fsencode(name) + b"\0"
        links, owner, group, device = 1, 0, 0, 0
        fields = (self._inode, mode, owner, group, links, mtime, len(data), device, device,
                  device, device, len(encoded), 0)
        self._file.write(b"070701" + b"".join(b"%08x" % field for field in fields) + encoded)
        self._file.write(b"\0" * (-self._file.tell() % 4))
        self._file.write(data)
        self._file.write(b"\0" * (-self._file.tell() % 4))
