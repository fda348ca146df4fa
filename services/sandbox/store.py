"""The book's file: one SQLite database, one writer thread, one fsync for all requests that wait together."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
Outcome = tuple[Any, BaseException | None]

BATCH = 256  # jobs in one transaction: bounds how long the first of them waits
CACHE_KIB = 16_384  # page cache of the writer: the index of 200,000 random ids fits

SCHEMA = """
CREATE TABLE IF NOT EXISTS payment (
    seq INTEGER PRIMARY KEY, end_to_end_id TEXT NOT NULL UNIQUE, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    creditor_name TEXT NOT NULL, creditor_account TEXT NOT NULL, remittance_information TEXT NOT NULL,
    answer TEXT NOT NULL, answer_reason TEXT, status TEXT NOT NULL, reason_code TEXT,
    accepted_ms INTEGER NOT NULL, settle_ms INTEGER NOT NULL, settled_ms INTEGER);
CREATE INDEX IF NOT EXISTS payment_due ON payment (settle_ms) WHERE status = 'ACSP';
CREATE TABLE IF NOT EXISTS deposit (
    seq INTEGER PRIMARY KEY, partner TEXT NOT NULL, reference TEXT NOT NULL, route TEXT NOT NULL,
    amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, transport TEXT NOT NULL, booked_ms INTEGER NOT NULL,
    state TEXT NOT NULL, UNIQUE (partner, reference));
CREATE TABLE IF NOT EXISTS delivery (
    id INTEGER PRIMARY KEY, lane TEXT NOT NULL, about TEXT NOT NULL, target TEXT NOT NULL, partner TEXT NOT NULL,
    body BLOB, items INTEGER NOT NULL, first_seq INTEGER, last_seq INTEGER, flaw TEXT NOT NULL, copy INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'PENDING', last_answer TEXT);
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (lane, due_ms) WHERE state = 'PENDING';
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Store:
    """Opens the book of a directory. What `write` returned is on the disk; `read` sees only what is."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "book.sqlite"
        self._db = _connect(path, cache_kib=CACHE_KIB)
        path.chmod(0o600)  # it holds the signing secrets
        self._db.executescript(SCHEMA)
        self._reading_db = _connect(path, cache_kib=2_048)
        self._writer = ThreadPoolExecutor(1, "book-writer")
        self._reader = ThreadPoolExecutor(1, "book-reader")
        self._waiting: list[tuple[Job[Any], asyncio.Future[Any]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def write(self, job: Job[T]) -> T:
        """Runs `job` in the next transaction, with all others that wait. An exception undoes this job alone."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, done))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        return await done

    async def read(self, job: Job[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, job, self._reading_db)

    async def _flush(self) -> None:
        """The requests that arrive while one commit is under way are the next commit; nobody waits on a timer."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                outcomes = await loop.run_in_executor(self._writer, commit, self._db, [job for job, _ in batch])
                for (_, done), outcome in zip(batch, outcomes, strict=True):
                    _settle(done, outcome)
        finally:
            self._flusher = None


def commit(db: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> list[Outcome]:
    """One transaction, one fsync. If it cannot be committed every job has failed."""
    try:
        db.execute("BEGIN IMMEDIATE")
        outcomes = [_attempt(db, job) for job in jobs]
        db.execute("COMMIT")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        return [(None, error)] * len(jobs)
    return outcomes


def _attempt(db: sqlite3.Connection, job: Job[Any]) -> Outcome:
    db.execute("SAVEPOINT job")
    try:
        result = job(db)
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked, not to its neighbours
        db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")
        return None, error
    db.execute("RELEASE job")
    return result, None


def _settle(done: asyncio.Future[Any], outcome: Outcome) -> None:
    result, error = outcome
    if done.done():  # whoever asked has gone
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")  # in WAL mode: an fsync of the log at each commit
    db.execute(f"PRAGMA cache_size = -{cache_kib}")
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    db.execute("PRAGMA busy_timeout = 5000")
    return db
