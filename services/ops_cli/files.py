"""A file on the caller's machine: whole or not at all, and known to be writable before anything else is done."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from services.ops_cli.exits import Exit, OpsError


class AtomicFile:
    """Written beside its place under another name, and renamed into it."""

    def __init__(self, path: str) -> None:
        """Raises OpsError when it could not be put there."""
        self._place = Path(path)
        self.path = Path(os.path.realpath(path))  # a link goes on pointing to it
        self.suffix = self.path.suffix
        if self.path.is_dir():
            raise self._unwritable("it is a directory")
        if self.path.exists() and not os.access(self.path, os.W_OK):
            raise self._unwritable("it may not be written")
        self._partial: Path | None = None
        try:
            if self.path.exists() and not self.path.is_file():  # a device or a pipe: there is nothing to rename
                self._handle = os.open(self.path, os.O_WRONLY)
            else:
                self._handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
                self._partial = Path(name)
        except OSError as error:
            raise self._unwritable(error.strerror or type(error).__name__) from None

    def _unwritable(self, why: str) -> OpsError:
        return OpsError(
            Exit.USAGE,
            f"cannot write {self._place}: {why}",
            hint="nothing was done; name a file in a directory that you may write",
        )

    def write(self, part: bytes) -> None:
        """More of it. Raises OpsError when the disk says no."""
        try:
            while part:
                part = part[os.write(self._handle, part) :]
        except OSError as error:
            self.discard()
            raise OpsError(Exit.FAILED, f"cannot write {self._place}: {error.strerror}") from None

    def commit(self) -> None:
        """In its place, on the disk, with the mode that a new file has."""
        if self._partial is None:
            os.close(self._handle)
            return
        os.fsync(self._handle)
        os.fchmod(self._handle, self._mode())
        os.close(self._handle)
        self._partial.replace(self.path)
        self._partial = None

    def discard(self) -> None:
        """Nothing of it stays; what was there before does."""
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)
            self._partial = None

    def _mode(self) -> int:
        if self.path.exists():
            return self.path.stat().st_mode & 0o777
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask
