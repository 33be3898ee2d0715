"""Which file systems keep locks and records well enough for an attempt's folder."""

import os
from pathlib import Path

from runnerd.plugins import FailJob

REMOTE = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
    }
)


def require_local(folder: Path) -> None:
    """Raise ``FailJob`` where ``folder`` lies on a network file system."""
    kind = kind_of(folder)
    if kind in REMOTE:
        raise FailJob(
            f"the data folder {folder} is on a network file system ({kind}), where locks can't be "
            "relied on: set data_dir to a folder on a local disk"
        )


def kind_of(folder: Path) -> str:
    """Give the type of the file system that holds ``folder``, empty where it is not listed."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == number:
            return source.split()[0]
    return ""
