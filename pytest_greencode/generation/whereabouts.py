"""Where a model server runs: whether this machine's meters see it, and which process it is. Needs msgspec only."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .meters import GenerationMeter, host_meters

# What listens for somebody else: in a container of this machine, or anywhere.
_CONTAINERS = {"docker-proxy", "rootlessport", "slirp4netns", "pasta", "pasta.avx2", "passt", "passt.avx2"}
_ELSEWHERE = {"ssh", "sshd", "kubectl", "socat", "nginx", "haproxy", "envoy", "traefik", "caddy", "autossh"}


def meters_of_server(host: str, port: int) -> tuple[list[GenerationMeter[Any]], str | None]:
    """Meters that see the server at `host`:`port`, and why there are none, if so."""
    if not is_this_machine(host):
        return [], f"the server is at {host}, and only the machine that it runs on can measure it"
    pid = listening_pid(port)
    name = None if pid is None else process_name(pid)
    if name in _ELSEWHERE:
        return [], f"port {port} belongs to {name}, which passes requests on, nobody knows where"
    if pid is None or name in _CONTAINERS:
        return host_meters(whole_machine=True), None
    return host_meters(pid=pid), None


def is_this_machine(host: str) -> bool:
    """By its name alone: a loopback address, or localhost."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening_pid(port: int, proc: Path = Path("/proc")) -> int | None:
    """The process that listens on a TCP port; None where it cannot be seen (another user's, a container's)."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    # The oldest: a server's children have its socket too.
    for pid in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()):
        with contextlib.suppress(OSError):
            if any(str(each.readlink()) in sockets for each in (proc / str(pid) / "fd").iterdir()):
                return pid
    return None


def _listening(port: int, proc: Path) -> Iterator[str]:
    """Inodes of listening sockets (proc(5): local address in hexadecimal, state 0A, the inode tenth)."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def process_name(pid: int, proc: Path = Path("/proc")) -> str | None:
    try:
        return (proc / str(pid) / "comm").read_text("utf-8", errors="replace").strip()
    except OSError:
        return None
