"""Folders and file systems: free bytes, whether one can write, whether it lies on the network."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

NETWORK = ("nfs", "cifs", "smb", "afs", "9p", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.sshfs",
           "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone")  # fmt: skip
"""How the kinds of file systems begin whose locks SQLite can't rely on."""


@dataclass(frozen=True)
class Location:
    """A folder that may not be there yet, and the nearest one above it that is."""

    folder: Path
    there: Path

    @classmethod
    def of(cls, folder: Path) -> Location:
        folder = folder.absolute()
        return cls(folder, next(path for path in (folder, *folder.parents) if os.path.lexists(path)))

    @property
    def fault(self) -> str:
        """Why nothing can be written there, "" where it can."""
        if not self.there.is_dir():
            return f"{self.there} is no folder"
        if os.statvfs(self.there).f_flag & os.ST_RDONLY:
            return f"{self.there} is on a file system that is read only"
        return "" if os.access(self.there, os.W_OK | os.X_OK) else f"{self.there} can't be written"

    @property
    def free(self) -> int:
        """Bytes that this user may still write."""
        return shutil.disk_usage(self.there).free

    @property
    def device(self) -> int:
        """The same for two places whose bytes come from the same file system."""
        return os.stat(self.there).st_dev


def network_file_system(path: Path, mounts: Path) -> str:
    """The kind of the file system that a path lies on, if that is one of the network; "" else, or where the system does
    not tell. `mounts`: as `/proc/mounts`."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    place = os.path.realpath(path)
    kinds = {parts[1].replace("\\040", " "): parts[2] for parts in lines if len(parts) > 2}  # the last one counts
    above = [mount for mount in kinds if os.path.commonpath([mount, place]) == mount]
    kind = kinds[max(above, key=len)] if above else ""
    return kind if kind.startswith(NETWORK) else ""
