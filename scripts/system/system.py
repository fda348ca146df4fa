"""The system as an object: started, watched, killed in parts and stopped by whoever holds it. All calls block."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from scripts import topics
from scripts.stack import broker, postgres
from scripts.stack.broker import Kind
from scripts.stack.kafka_jars import MissingTool
from scripts.stack.server import DidNotStart
from scripts.system import leftovers
from scripts.system.calls import LoginFailed, log_in, probe, register
from scripts.system.database import prepare_database
from scripts.system.home import Home, Occupied, write_json
from scripts.system.installation import ROLES, SANDBOX, USERS, Installation, Mismatched, PortTaken, opened
from scripts.system.keeper import Keeper, ServerKeeper, write_pid
from scripts.system.programs import Environment, Servers, dsn_of, programs
from services.kernel.topic_admin import TopicsDiffer

READY_SECONDS = 90.0  # seconds on an idle machine; a busy one is waited for
EXIT_UNSAFE = 2  # its settings: the next try would end the same
FALLS_MAX = 5  # before it has ever been ready: then its log says why, and waiting longer does not help
LOOK_SECONDS = 0.05
TOKEN_SECONDS_MIN = 60
HOUSEKEEPING_SECONDS = 10.0
POSTGRES, BROKER = "postgres", "broker"

Say = Callable[[str], None]


class NotReady(Exception):
    """A process did not become ready; carries its name and the end of its log."""


# Why it may not start: each says so in a sentence that a person can act on.
WHY_NOT = (
    NotReady, LoginFailed, DidNotStart, Occupied, Mismatched, PortTaken, TopicsDiffer, MissingTool, ValueError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What system.json says, but for the processes."""

    base_url: str
    kafka_bootstrap: str
    oncall_database_url: str = field(repr=False)
    operations_database_url: str = field(repr=False)
    sandbox_url: str
    tokens: Mapping[str, str] = field(repr=False)
    webhooks: tuple[Mapping[str, str], ...] = field(repr=False)


class System:
    """One installation, running in processes of its own for as long as this object keeps them."""

    def __init__(
        self,
        home: Home,
        broker_kind: Kind = "embedded",
        *,
        overrides: Mapping[str, Environment] | None = None,
        outlives_us: bool = False,
        say: Say = lambda text: None,
    ) -> None:
        """`overrides`: environment by program, under "*" for all. `outlives_us`: the services go on when we die."""
        self.home = home
        self.broker_kind = broker_kind
        self._overrides = overrides or {}
        self._parent = None if outlives_us else os.getpid()
        self._say = say
        self._held = ExitStack()
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self._starting = threading.RLock()
        self._keepers: dict[str, Keeper] = {}
        self._servers: dict[str, ServerKeeper] = {}
        self._facts: Facts | None = None
        self._tokens_until = 0.0
        self._installation: Installation | None = None

    @property
    def facts(self) -> Facts:
        assert self._facts, "not started"
        return self._facts

    @property
    def installation(self) -> Installation:
        assert self._installation, "not started"
        return self._installation

    # -- up and down

    def start(self) -> Facts:
        """Everything ready. Raises NotReady, DidNotStart, Occupied, Mismatched, PortTaken, TopicsDiffer, LoginFailed;
        nothing is left running then."""
        with self._starting:
            self._held.enter_context(self.home.occupied())
            try:
                return self._start()
            except BaseException:
                self.stop()
                raise

    def _start(self) -> Facts:
        leftovers.end_all(self.home)
        write_pid(self.home, leftovers.SUPERVISOR, os.getpid())
        self._installation = opened(self.home, self.broker_kind)
        servers = self._start_servers()
        self._check_wanted()
        for program in programs(self.home, self.installation, servers, self._overrides, self._parent):
            self._keepers[program.name] = Keeper(program, self.home, self._write_facts)
            self._keepers[program.name].start()
        self._say(f"started {', '.join(self._keepers)}")
        self._register_users()
        self.wait_ready()
        self._facts = self._gather(servers)
        self._write_facts()
        threading.Thread(target=self._housekeeping, name="housekeeping", daemon=True).start()
        return self.facts

    def _start_servers(self) -> Servers:
        """Both at once, then what belongs on them."""
        given = {
            POSTGRES: postgres.server(self.home.postgres, _port("POSTGRES_PORT")),
            BROKER: broker.server(self.broker_kind, self.home.broker(self.broker_kind), _port("BROKER_PORT")),
        }
        self._servers = {name: ServerKeeper(name, server, self.home) for name, server in given.items()}
        self._say(f"starting PostgreSQL and the {self.broker_kind} broker")
        with ThreadPoolExecutor() as pool:
            starting = {name: pool.submit(keeper.start) for name, keeper in self._servers.items()}
            administrator, kafka = starting[POSTGRES].result(), starting[BROKER].result()
            made = pool.submit(asyncio.run, topics.ensure(kafka, self.installation.partitions))
            administrator = prepare_database(administrator, self.installation)
            self._say(f"migrated the database; {len(made.result())} topics made")
        return Servers(postgres=administrator, kafka=kafka)

    def stop(self) -> None:
        """Nothing of ours runs when this returns. May be called twice, after a start that failed, and while another
        thread is starting: that start is given up first."""
        self._stopped.set()
        with self._starting:
            self._stop()

    def _stop(self) -> None:
        self.home.facts.unlink(missing_ok=True)
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda keeper: keeper.stop(), self._keepers.values()))
        for name in (BROKER, POSTGRES):  # the sandbox and the services are gone: nobody misses them
            if keeper := self._servers.get(name):
                keeper.stop()
        (self.home.pids / f"{leftovers.SUPERVISOR}.json").unlink(missing_ok=True)
        self._held.close()

    # -- parts

    @property
    def names(self) -> tuple[str, ...]:
        """What can be killed."""
        return (*self._keepers, *self._servers)

    def kill(self, name: str) -> int:
        """SIGKILL to a process of ours, server or program; the pid that was. It is started again at once."""
        keeper = self._keepers.get(name) or self._servers[name]
        return keeper.kill()

    def end(self, name: str) -> None:
        """SIGTERM to a program; it is started again once it has ended."""
        self._keepers[name].end()

    def pid(self, name: str) -> int:
        return self._keepers[name].pid

    def restarts(self) -> dict[str, int]:
        """How often each was started again."""
        return {name: keeper.restarts for name, keeper in (self._keepers | self._servers).items()}

    def wait_ready(self, *names: str, seconds: float = READY_SECONDS) -> None:
        """Until all of `names` (all programs, when none is named) answer their probe with 200. Raises NotReady."""
        deadline = time.monotonic() + seconds
        waiting = {name: self._keepers[name].restarts for name in names or tuple(self._keepers)}
        while waiting:
            self._check_wanted()
            for name, restarts in tuple(waiting.items()):
                if self._is_ready(self._keepers[name], restarts, late=time.monotonic() > deadline):
                    del waiting[name]
            time.sleep(LOOK_SECONDS)

    def _check_wanted(self) -> None:
        if self._stopped.is_set():
            raise NotReady("stopped before it was ready")

    def _is_ready(self, keeper: Keeper, restarts: int, *, late: bool) -> bool:
        """Raises NotReady when it is late, or there is no hope."""
        name, answer = keeper.program.name, probe(keeper.program)
        if answer.ready:
            if self._facts is None:  # coming up; later on whoever has killed it will say more
                self._say(f"{name} is ready at {keeper.program.url}")
            return True
        if keeper.last_exit == EXIT_UNSAFE or keeper.restarts - restarts >= FALLS_MAX:
            raise NotReady(f"{name} ends again and again, exit code {keeper.last_exit}\n{keeper.log_tail()}")
        if late:
            raise NotReady(f"{name} was not ready in time; it says {answer.words}\n{keeper.log_tail()}")
        return False

    # -- users

    def _register_users(self) -> None:
        """Once for an installation; the password goes by stdin."""
        if self.installation.users_registered:
            return
        program, logins = self._keepers["core_api"].program, self.installation.logins
        with ThreadPoolExecutor(max_workers=2) as pool:
            done = [pool.submit(register, program, login, role, logins[login]) for login, role in USERS.items()]
            for each in done:
                each.result()
        self._installation = replace(self.installation, users_registered=True)
        self.installation.save(self.home)

    def _log_in(self) -> dict[str, str]:
        """A token for each user. Raises LoginFailed."""
        core_api, logins = self.installation.url("core_api"), self.installation.logins
        answers = {login: log_in(core_api, login, password) for login, password in logins.items()}
        lifetime = min(int(answer.get("expires_in", 3600)) for answer in answers.values())
        self._tokens_until = time.monotonic() + max(lifetime / 2, TOKEN_SECONDS_MIN)
        return {login: answer["access_token"] for login, answer in answers.items()}

    # -- facts

    def _gather(self, servers: Servers) -> Facts:
        return Facts(
            base_url=self.installation.url("core_api"),
            kafka_bootstrap=servers.kafka,
            oncall_database_url=dsn_of(ROLES["oncall"], self.installation, servers),
            operations_database_url=dsn_of(ROLES["operations"], self.installation, servers),
            sandbox_url=self.installation.url(SANDBOX),
            tokens=self._log_in(),
            webhooks=(self.installation.webhook_key,),
        )

    def processes(self) -> list[dict[str, Any]]:
        """Name, pid and probe of each program as it runs now."""
        return [
            {"name": name, "pid": keeper.pid, "probe_url": keeper.program.probe_url}
            for name, keeper in self._keepers.items()
        ]

    def _write_facts(self) -> None:
        """Anew after each restart, for the pids have changed."""
        with self._writing:
            if self._facts and not self._stopped.is_set():
                write_json(self.home.facts, as_json(self._facts, self.processes()))

    def _housekeeping(self) -> None:
        """Fresh tokens before the old ones end; logs that do not grow for ever."""
        while not self._stopped.wait(HOUSEKEEPING_SECONDS):
            for keeper in self._keepers.values():
                keeper.bound_log()
            if time.monotonic() > self._tokens_until:
                self._renew_tokens()

    def _renew_tokens(self) -> None:
        try:
            self._facts = replace(self.facts, tokens=self._log_in())
        except (LoginFailed, OSError) as error:
            self._say(f"tokens not renewed: {error}")  # tried again at the next look
        self._write_facts()


def as_json(facts: Facts, processes: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of system.json."""
    return {
        "base_url": facts.base_url,
        "kafka_bootstrap": facts.kafka_bootstrap,
        "oncall_database_url": facts.oncall_database_url,
        "operations_database_url": facts.operations_database_url,
        "sandbox_url": facts.sandbox_url,
        "tokens": dict(facts.tokens),
        "webhooks": [dict(key) for key in facts.webhooks],
        "processes": processes,
    }


def _port(variable: str) -> int | None:
    text = os.environ.get(variable)
    return int(text) if text else None
