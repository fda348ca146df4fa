"""PostgreSQL and Kafka in containers, for BROKER=containers: the images of compose.yaml, by testcontainers.

Each worker has its own, and a Docker engine must answer; where none does, `missing` says so and the tests are skipped.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from scripts.migrate import ROOT
from scripts.stack.metadata import brokers_answering
from scripts.stack.ports import free_port
from scripts.stack.server import DidNotStart, Running

READY_SECONDS = 120.0  # the first start of an image fetches it before
POSTGRES_PORT, KAFKA_PORT = 5432, 9092


@cache
def missing() -> str | None:
    """Why there can be no containers, or None."""
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        docker.from_env(timeout=5).ping()
    except DockerException as error:
        return f"BROKER=containers needs a Docker engine, and none answers: {type(error).__name__}"
    return None


@dataclass(kw_only=True)
class ContainerServer:
    """A server as tests know it, in a container of its own on a fixed port of this machine."""

    image: str
    inside: int  # the port that it listens on
    environment: Callable[[int], Mapping[str, str]]  # by the port of this machine
    address: Callable[[int], str]
    is_ready: Callable[[int], bool]
    port: int = field(default_factory=free_port)
    _container: Any = None

    def start(self) -> Running:
        """Ready when this returns. Raises DidNotStart."""
        if self._container is None:
            from testcontainers.core.container import DockerContainer  # half a second, which other brokers need not pay

            container = DockerContainer(self.image).with_bind_ports(self.inside, self.port)
            for name, value in self.environment(self.port).items():
                container = container.with_env(name, value)
            self._container = container.start()
        elif not self._is_up():
            self._container.get_wrapped_container().start()
        self._wait()
        return Running(address=self.address(self.port), pid=None)

    def stop(self) -> None:
        """Cleanly."""
        if self._is_up():
            self._container.get_wrapped_container().stop(timeout=30)

    def kill(self) -> None:
        """SIGKILL to the server's process."""
        if self._is_up():
            self._container.get_wrapped_container().kill()

    def restart(self) -> Running:
        """On the same data and port."""
        self.stop()
        return self.start()

    def running(self) -> Running | None:
        """None when it does not run."""
        return Running(address=self.address(self.port), pid=None) if self._is_up() else None

    def _is_up(self) -> bool:
        if self._container is None:
            return False
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return bool(wrapped.status == "running")

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_ready(self.port):
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.image} on port {self.port}: {self._container.get_logs()!r}"[:2_000])
            time.sleep(0.1)


@cache
def postgres() -> ContainerServer:
    """This worker's PostgreSQL."""
    return ContainerServer(
        image=image_of("postgres"),
        inside=POSTGRES_PORT,
        environment=lambda _: {"POSTGRES_PASSWORD": "containers", "POSTGRES_INITDB_ARGS": "--data-checksums"},
        address=lambda port: f"postgresql://postgres:containers@127.0.0.1:{port}/postgres",
        is_ready=_speaks_postgres,
    )


def broker() -> ContainerServer:
    """A broker of its own, one node."""
    return ContainerServer(
        image=image_of("kafka"),
        inside=KAFKA_PORT,
        environment=kafka_environment,
        address=lambda port: f"127.0.0.1:{port}",
        is_ready=lambda port: brokers_answering("127.0.0.1", port) > 0,
    )


def kafka_environment(port: int) -> dict[str, str]:
    """As compose.yaml has it, with one listener, which clients of this machine reach at `port`."""
    environment = dict(_compose()["kafka"]["environment"])
    return environment | {
        "KAFKA_LISTENERS": f"INSIDE://:{KAFKA_PORT},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"INSIDE://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }


def image_of(name: str) -> str:
    """The image of compose.yaml."""
    return str(_compose()[name]["image"])


@cache
def _compose() -> Mapping[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"])


def _speaks_postgres(port: int) -> bool:
    """The image starts its server twice, the first time on a socket file alone: an answer on TCP is the second one."""
    request = bytes([0, 0, 0, 8, 4, 210, 22, 47])  # SSLRequest: answered by S or N before any login
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(request)
            return connection.recv(1) in {b"S", b"N"}
    except OSError:
        return False
