"""A Kafka broker: noida-db from its wheel (embedded), or Apache Kafka on a JVM. Both speak the wire protocol."""

import os
import secrets
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import ClassVar, Literal, get_args

from scripts.stack import kafka_jars, process
from scripts.stack.metadata import brokers_answering
from scripts.stack.server import Given, LocalServer, Server

Kind = Literal["embedded", "apache"]


def kind() -> Kind:
    """The BROKER variable; embedded when unset. Raises ValueError for another word."""
    word = os.environ.get("BROKER") or "embedded"
    for known in get_args(Kind):
        if word == known:
            return word  # type: ignore[return-value]  # it is one of the literals, which mypy cannot see
    raise ValueError(f"BROKER={word}: use one of {', '.join(get_args(Kind))}")


def server(kind: Kind, home: Path, port: int | None = None) -> Server:
    """The broker that KAFKA_BOOTSTRAP_SERVERS names, else one of our own of `kind` with its data under `home`."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        return Given(given)
    return ApacheBroker(home=home, port=port) if kind == "apache" else EmbeddedBroker(home=home, port=port)


def prepare(kind: Kind) -> None:
    """Fetch what the first start needs, so that no start has to wait for it. Raises kafka_jars.MissingTool."""
    if kind == "apache" and "KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
        kafka_jars.fetch()
        make_archive()


def make_archive() -> None:
    """Record the loaded classes during one start and stop: later starts take 1.4 s instead of 2.3 s. Best effort."""
    archive = kafka_jars.archive()
    if archive.exists():
        return
    with tempfile.TemporaryDirectory() as home:
        recorder = ApacheBroker(home=Path(home), java_flags=(f"-XX:ArchiveClassesAtExit={archive}",))
        recorder.start()
        recorder.stop()


@dataclass(frozen=True, kw_only=True)
class Broker(LocalServer):
    """What both brokers share: a broker is ready when it answers a Metadata request, an open port is not enough."""

    @property
    def data(self) -> Path:
        return self.home / "data"

    def is_ready(self, record: process.Record) -> bool:
        return brokers_answering("127.0.0.1", record.port) > 0

    def address(self, port: int) -> str:
        return f"127.0.0.1:{port}"


@dataclass(frozen=True, kw_only=True)
class EmbeddedBroker(Broker):
    """For development. Keeps everything in memory and saves it about once a second and at a clean stop, so a kill loses
    acknowledged records; creates unknown topics on produce; after a kill an idempotent aiokafka producer with records
    in flight does not recover. Tests of a killed broker or a wrong topic name belong on Apache Kafka."""

    name: ClassVar[str] = "noida"

    def prepare(self, port: int) -> None:
        self.data.mkdir(exist_ok=True)

    def command(self, port: int) -> Sequence[str]:
        binary = Path(str(files("noida_db"))) / "noida-db"
        binary.chmod(0o755)  # installers may drop the mode of package data
        return [str(binary), "start", "--only", "kafka", "--data-dir", str(self.data), "--kafka-port", str(port)]


@dataclass(frozen=True, kw_only=True)
class ApacheBroker(Broker):
    """One JVM, broker and controller in one. The controller listens on `port` + 1."""

    java_flags: tuple[str, ...] = ()

    name: ClassVar[str] = "kafka"
    ports_needed: ClassVar[int] = 2

    @property
    def properties(self) -> Path:
        return self.home / "server.properties"

    def prepare(self, port: int) -> None:
        kafka_jars.fetch()
        template = Template((kafka_jars.DEPLOY / "server.properties").read_text())
        self.properties.write_text(template.substitute(PORT=port, CPORT=port + 1, DATA=self.data))
        if not (self.data / "meta.properties").exists():
            self._format()

    def command(self, port: int) -> Sequence[str]:
        return [*kafka_jars.java("-Xms64m", "-Xmx512m", *self.java_flags), "kafka.Kafka", str(self.properties)]

    def _format(self) -> None:
        tool = [*kafka_jars.java(), "kafka.tools.StorageTool", "format", "--standalone"]
        process.run([*tool, "-t", cluster_id(), "-c", str(self.properties)], log=self.log)


def cluster_id() -> str:
    """16 random bytes as Kafka wants them. The tool takes a leading "-" for an option."""
    text = urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
    return cluster_id() if text.startswith("-") else text
