"""The servers as fixtures. All of them are lazy: a run of unit tests starts nothing."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from scripts.stack import broker as brokers
from scripts.stack.server import Server
from tests.support import containers, stack

RUN = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Open the run in the pytest command; its workers inherit it by the environment."""
    if not hasattr(config, "workerinput"):
        config.stash[RUN] = stack.open_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    if root := config.stash.get(RUN, None):
        stack.close_run(root)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is that a test may want, one that is skipped has proved nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NOTHING_SKIPPED") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("NOTHING_SKIPPED: a test was skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of Apache Kafka alone are skipped on the embedded broker."""
    if stack.in_containers():
        _leave_out_without_containers(items)
        return
    apache = brokers.kind() == "apache"
    for item in items:
        if not apache and item.get_closest_marker("apache"):
            item.add_marker(pytest.mark.skip(reason="needs BROKER=apache"))


def _leave_out_without_containers(items: list[pytest.Item]) -> None:
    """A system brings its own servers; every other test gets its servers in containers, where an engine answers."""
    why = containers.missing()
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "journeys" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason="starts a system with servers of its own, not in containers"))
        elif why and {"postgres_dsn", "broker_server"} & set(names):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def postgres_dsn() -> str:
    """The superuser's DSN of this run's PostgreSQL, maintenance database."""
    return stack.start_postgres()


@pytest.fixture(scope="module")
def database(postgres_dsn: str) -> Iterator[str]:
    """The DSN of a migrated, empty database that this module has for itself."""
    yield from stack.fresh_database(postgres_dsn)


@pytest.fixture
def new_database(postgres_dsn: str) -> Iterator[Callable[[], str]]:
    """Makes as many migrated, empty databases as one test wants."""
    make = contextmanager(stack.fresh_database)
    with ExitStack() as opened:
        yield lambda: opened.enter_context(make(postgres_dsn))


@pytest.fixture(scope="session")
def broker_server() -> Server:
    """This worker's broker, for tests that stop and kill it. Whoever ends it starts it again."""
    return stack.start_broker(os.environ.get("PYTEST_XDIST_WORKER", "main"))


@pytest.fixture(scope="module")
def broker(broker_server: Server) -> str:
    """Bootstrap servers of this worker's broker, which has no topics when the module begins."""
    bootstrap = broker_server.start().address
    stack.delete_topics(bootstrap)
    return bootstrap
