"""Sandboxes as Docker containers, through the SDK: hardened, no network, one worker each, kept for many attempts."""

from __future__ import annotations

import contextlib
import os
import re
import select
import struct
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import docker
import docker.errors
import requests
from docker.types import Ulimit

from pytest_greencode.errors import SandboxLost, SandboxUnavailable
from pytest_greencode.repository import Environment
from pytest_greencode.sandboxes.base import BOOTSTRAP, Cores, WorkerSandbox, digest, worker_for, worker_texts
from pytest_greencode.sandboxes.cache import alone
from pytest_greencode.sandboxes.repositories import (
    REPOSITORY_WORK_BYTES,
    WORK_BYTES,
    preload_variables,
    ready_for_tests,
    runtime_for,
)
from pytest_greencode.sandboxes.runtime import PACKAGES, Runtime, host_runtime, image_tar
from pytest_greencode.sandboxes.seccomp import container_profile
from pytest_greencode.sandboxes.self_test import PROMISES, SelfTest, prove

REPOSITORY = "greencode-worker"
LABEL = "greencode.session"
# Room in the container beside the solution's own limit: zygote, oracle server, the tests with numpy and their data.
HARNESS_MEMORY_BYTES = 1 << 30
PODMAN_PROCESSES = 4096  # the container's own limit is pids_limit; this one is of the user, on the whole machine
REMEDY = (
    "start it (`sudo systemctl start docker`), let your user reach it (`sudo usermod -aG docker $USER`, then log in "
    "again), set DOCKER_HOST, or run without it: --greencode-sandbox bubblewrap"
)
_NEEDS = "The image needs `python3`, 3.10 or newer, with its standard library (json, ctypes, pickle)."
_STREAM_HEADER = struct.Struct(">BxxxI")


class AttachedStream:
    """Transport over the SDK's attached socket, whose output comes in frames of an 8-byte header and a body."""

    def __init__(self, attached: Any, remove: Callable[[], None], host_pid: Callable[[], int | None]) -> None:
        self._attached, self._host_pid = attached, host_pid
        # Behind a Unix or TCP socket the SDK hands out a SocketIO; its socket is what can be written and waited for.
        self._socket = getattr(attached, "_sock", attached)
        self._remove = remove
        self._raw = bytearray()
        self._lines = bytearray()
        self._errors = bytearray()

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read_line(self, timeout_s: float) -> bytes:
        deadline_s = time.monotonic() + timeout_s
        while (end := self._lines.find(b"\n")) < 0:
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0 or not select.select([self._socket], [], [], remaining_s)[0]:
                raise TimeoutError(f"no answer in {timeout_s:.0f} s")
            chunk = self._socket.recv(65536)
            if not chunk:
                raise EOFError("the container has ended")
            self._raw += chunk
            self._unframe()
        line = bytes(self._lines[:end])
        del self._lines[: end + 1]
        return line

    def _unframe(self) -> None:
        while len(self._raw) >= _STREAM_HEADER.size:
            stream, size = _STREAM_HEADER.unpack_from(self._raw)
            end = _STREAM_HEADER.size + size
            if len(self._raw) < end:
                return
            (self._errors if stream == 2 else self._lines).extend(self._raw[_STREAM_HEADER.size : end])
            del self._raw[:end]

    def host_pid(self) -> int | None:
        return self._host_pid()

    def close(self) -> str:
        # The SDK leaves the socket to the garbage collector, which comes by when it likes; and the response, which from
        # Python 3.13 on complains when it finds its socket closed, so it goes first.
        response = getattr(self._attached, "_response", None)
        for each in (*([response] if response is not None else []), self._attached, self._socket):
            with contextlib.suppress(OSError, ValueError):
                each.close()
        self._remove()
        return self._errors.decode("utf-8", "replace")


class DockerKind:
    """Makes containers. `image` None: the image made from the host's Python, built when it is not there yet."""

    name = "docker"

    def __init__(
        self,
        *,
        memory_bytes: int,
        cores: Sequence[int] = (),
        image: str | None = None,
        runtime: str | None = None,
        notify: Callable[[str], None] = lambda text: None,
        environment: Environment | None = None,
    ) -> None:
        self._memory_bytes = memory_bytes
        self._cores = Cores(cores)
        self._allowed_cores, self._given_image, self._notify = cores, image, notify
        self._environment = environment
        self._asked_by = "--greencode-image" if environment is None or environment.image is None else "a suite's image"
        self.self_test: SelfTest | None = None
        self._session = uuid.uuid4().hex
        self._client = connect()
        self.version: dict[str, Any] = self._client.version()
        self._is_podman = any("Podman" in part.get("Name", "") for part in self.version.get("Components") or ())
        self._runtime = None if runtime is None else self._listed(runtime)
        seccomp = "the engine's seccomp profile" if self._is_podman else "own seccomp profile"
        kernel = "" if runtime is None else f", runtime {runtime}"
        self.tier = f"container: own namespaces, {seccomp}, no network, read-only, two users{kernel}"
        self._worker = worker_for(host_runtime().version if image is None else None)
        self._made_of = None
        if image is None:
            self._made_of = host_runtime() if environment is None else runtime_for(environment, self.name)
        self._python, self._image = self._find_image(image, notify)
        self.identity = digest("docker", self._image, runtime or "", *worker_texts().values())

    def _listed(self, runtime: str) -> str:
        """`runtime`, if the engine has it."""
        known = runtimes(self._client)
        if runtime not in known:
            raise SandboxUnavailable(
                f"--greencode-runtime {runtime}: the Docker engine lists {', '.join(known) or 'no runtimes'}; install "
                "it and name it under `runtimes` in the engine's /etc/docker/daemon.json, or leave the option out"
            )
        return runtime

    def _find_image(self, image: str | None, notify: Callable[[str], None]) -> tuple[str, str]:
        try:
            if image is None:
                assert self._made_of is not None
                return str(self._made_of.python), build_image(self._client, runtime=self._made_of, notify=notify)
            try:
                found = self._client.images.get(image)
            except docker.errors.ImageNotFound:
                notify(f"pulling {image}")
                found = self._client.images.pull(image)
            return "python3", str(found.id)
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise SandboxUnavailable(
                f"{self._asked_by} {image or '(from this Python)'}: Docker cannot provide it: {_explanation(error)}"
            ) from error

    def for_repository(self, environment: Environment) -> DockerKind:
        return DockerKind(
            memory_bytes=environment.memory_bytes or self._memory_bytes,
            cores=self._allowed_cores,
            image=environment.image or (None if environment.requirements else self._given_image),
            runtime=self._runtime,
            notify=self._notify,
            environment=environment,
        )

    @property
    def remote(self) -> str | None:
        """The address of a daemon that is not, or may not be, this machine's own."""
        address = str(self._client.api.base_url)
        return None if address in ("http+docker://localhost", "http+docker://localnpipe") else address

    def describe(self) -> dict[str, Any]:
        return {
            "sandbox": self.name,
            "tier": self.tier,
            "engine": f"podman {self.version.get('Version')}" if self._is_podman else self.version.get("Version"),
            "runtime": self._runtime,
            "remote": self.remote,
            "image": self._image,
            "self_test": self.self_test.describe() if self.self_test is not None else None,
        }

    def start(self) -> WorkerSandbox:
        try:
            container = self._create()
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise SandboxLost(f"Docker cannot start a container: {_explanation(error)}") from error

        def remove() -> None:
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                self._client.api.kill(container["Id"])  # which removes it, by auto_remove

        def host_pid() -> int | None:
            if self.remote is not None:
                return None
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                return self._client.api.inspect_container(container["Id"])["State"]["Pid"] or None
            return None

        try:
            # Attached before the start, so that no byte is lost.
            attached = self._client.api.attach_socket(
                container["Id"], params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            self._client.api.start(container["Id"])
        except (docker.errors.DockerException, requests.RequestException) as error:
            remove()
            raise SandboxUnavailable(
                f"{self._asked_by}: Docker cannot start `{self._python}` in it: {_explanation(error)}\n{_NEEDS}"
            ) from error
        try:
            sandbox = WorkerSandbox(AttachedStream(attached, remove, host_pid), self._worker)
        except SandboxLost as error:
            raise SandboxUnavailable(f"{self._asked_by}: the worker does not start: {error}\n{_NEEDS}") from error
        self.self_test = prove(sandbox, self.name, PROMISES, self._memory_bytes)
        return ready_for_tests(sandbox)

    def _create(self) -> dict[str, Any]:
        api = self._client.api
        work_bytes, inodes = (WORK_BYTES, 4096) if self._environment is None else (REPOSITORY_WORK_BYTES, 65536)
        tmpfs = {
            "/w": f"size={work_bytes},nr_inodes={inodes},mode=1777,noexec,nosuid,nodev",
            "/dev/mqueue": "ro,size=0",
        }
        ulimits = [Ulimit(name="core", soft=0, hard=0), Ulimit(name="nofile", soft=256, hard=256)]
        security = ["no-new-privileges"]
        if self._is_podman:
            # It takes a profile only as a file of its own machine (its default stays, and so does the worker's filter),
            # knows no nr_inodes, puts writable directories into a read-only container unless they are taken, and would
            # raise the limit on processes, which not every root may.
            tmpfs = {place: options.replace(f"nr_inodes={inodes},", "") for place, options in tmpfs.items()}
            tmpfs |= dict.fromkeys(("/tmp", "/var/tmp", "/run", "/dev/shm"), "ro,size=0")  # noqa: S108 - to close them
            ulimits.append(Ulimit(name="nproc", soft=PODMAN_PROCESSES, hard=PODMAN_PROCESSES))
        else:
            security.append(f"seccomp={container_profile()}")
        memory_bytes = self._memory_bytes + HARNESS_MEMORY_BYTES
        arguments: dict[str, Any] = {
            "image": self._image,
            "command": [self._python, "-s", "-S", "-B", "-c", BOOTSTRAP, "own-cgroup"],
            "stdin_open": True,
            "tty": False,
            "user": "0:0",
            "working_dir": "/",
            "environment": {
                "PYTHONHASHSEED": "0",
                "GREENCODE_PACKAGES": PACKAGES if self._made_of is None else self._made_of.module_paths,
                **preload_variables(self._environment),
                **({"GREENCODE_SITE": "1"} if self._environment is not None and self._made_of is None else {}),
                "GREENCODE_MEMORY_BYTES": str(self._memory_bytes),
                "GREENCODE_CORE": self._cores.next(),
            },
            "labels": {LABEL: self._session},
            "network_disabled": True,
        }
        host_config: dict[str, Any] = {
            "network_mode": "none",
            "read_only": True,
            "tmpfs": tmpfs,
            "ipc_mode": "none",
            "cap_drop": ["ALL"],
            "cap_add": ["SETUID", "SETGID", "KILL"],
            "security_opt": security,
            "pids_limit": 64,
            "mem_limit": memory_bytes,
            "memswap_limit": memory_bytes,
            "ulimits": ulimits,
            "log_config": {"type": "none"},
            "auto_remove": True,  # a host process that was killed leaves nothing behind
            "init": False,
            "runtime": self._runtime,
        }
        container = api.create_container(**arguments, host_config=api.create_host_config(**host_config))
        return dict(container)

    def close(self) -> None:
        """Remove this session's own containers, whatever became of their sandboxes."""
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
            for container in self._client.api.containers(all=True, filters={"label": f"{LABEL}={self._session}"}):
                with contextlib.suppress(docker.errors.DockerException):
                    self._client.api.remove_container(container["Id"], force=True)
        self._client.close()


def connect() -> docker.DockerClient:
    """The daemon that DOCKER_HOST or the default socket names. Raises SandboxUnavailable with the remedy."""
    try:
        client = docker.from_env(timeout=120)
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        where = os.environ.get("DOCKER_HOST", "the default socket")
        raise SandboxUnavailable(f"no Docker daemon answers at {where} ({_reason(error)}): {REMEDY}") from error
    return client


def runtimes(client: docker.DockerClient) -> list[str]:
    """What the engine can run containers with. Raises SandboxUnavailable when it does not say."""
    try:
        return sorted(client.info().get("Runtimes") or ())
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise SandboxUnavailable(f"the Docker daemon does not describe itself: {_explanation(error)}") from error


def _explanation(error: BaseException) -> str:
    """The daemon's own words, without the SDK's address of the request."""
    return str(getattr(error, "explanation", None) or error)[:300]


def _reason(error: BaseException) -> str:
    text = str(error)
    for known in ("Permission denied", "No such file or directory", "Connection refused"):
        if known in text:
            return known.lower()
    return text[:120]


def build_image(
    client: docker.DockerClient,
    *,
    runtime: Runtime | None = None,
    notify: Callable[[str], None] = lambda text: None,
    rebuild: bool = False,
) -> str:
    """The id of the image made from the host's Python; built through the daemon alone, no registry."""
    runtime = runtime or host_runtime()
    tag = digest(runtime.label, str(runtime.python))[:16]

    def known() -> str | None:
        with contextlib.suppress(docker.errors.ImageNotFound):
            return str(client.images.get(f"{REPOSITORY}:{tag}").id)
        return None

    if not rebuild and (found := known()) is not None:
        return found
    with alone(f"image-{tag}"):
        if not rebuild and (found := known()) is not None:
            return found  # another worker has made it meanwhile
        notify(f"making the worker image {REPOSITORY}:{tag} from Python {runtime.version} (once)")
        answer = str(client.api.import_image_from_data(image_tar(runtime), repository=REPOSITORY, tag=tag))
        if ids := re.findall(r"\b[0-9a-f]{64}\b", answer):
            client.api.tag(ids[-1], REPOSITORY, tag)  # podman takes no tag with an import
        return str(client.images.get(f"{REPOSITORY}:{tag}").id)
