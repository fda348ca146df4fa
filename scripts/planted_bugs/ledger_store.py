"""Bugs in how the books are written and read: balances, numbers, locks, fences, moments."""

from scripts.planted_bugs.bug import Bug

BOOK, EVENTS, STORE = "services/kernel/book.py", "services/kernel/event_store.py", "services/kernel/store.py"
PARTS, WIRING, BATCH = "services/kernel/parts.py", "services/ledger/__main__.py", "services/kernel/batch.py"
BALANCES, MOMENTS, TRIAL = (f"services/kernel/book_{name}.py" for name in ("balances", "moments", "trial"))
OF_BOOK, OF_BATCHES = ("tests/integration/ledger/test_book.py",), ("tests/integration/ledger/test_hold_batches.py",)
OF_MODEL = ("tests/integration/ledger/test_model.py",)
OF_LOCKS = ("tests/integration/ledger/test_locks.py",)
TABLES = "tests/integration/ledger/test_constraints.py::test"
READS, CONTRACT = (
    "tests/integration/ledger/test_reads.py::test",
    "tests/integration/kernel/test_store_contract.py::test",
)

BUGS: tuple[Bug, ...] = (
    Bug(
        "balance-not-folded", "of two lines to one account in a batch only the last is in the balance", BOOK,
        "(account, currency, debited + debit, credited + credit, protected)",
        "(account, currency, debit, credit, protected)", OF_BOOK,
    ),
    Bug(
        "balance-overwritten", "a batch replaces the balance instead of adding to it", BOOK,
        "credit_minor = balance.credit_minor + excluded.credit_minor", "credit_minor = excluded.credit_minor",
        OF_BOOK,
    ),
    Bug(
        "sides-swapped", "what is posted as a debit is a credit in the balance", BOOK,
        '(minor, 0) if line.side == "debit" else (0, minor)', '(0, minor) if line.side == "debit" else (minor, 0)',
        OF_BOOK,
    ),
    Bug(
        "line-left-out", "the first line of an entry is not written", BOOK,
        "for number, line in enumerate(entry.lines, start=1):",
        "for number, line in enumerate(entry.lines[1:], start=1):",
        OF_BOOK,
    ),
    Bug(
        "number-not-from-the-head", "each batch numbers its entries from 1", BOOK,
        "SELECT before + row_number() OVER (), entry_id", "SELECT row_number() OVER (), entry_id", OF_BOOK,
    ),
    Bug(
        "head-by-one", "numbers of entries have gaps where a batch has several", BOOK,
        "return [(len(rows),)]", "return [(1,)]", OF_BOOK,
    ),
    Bug(
        "trial-balance-sign", "the trial balance shows debits on both sides: it is always at zero", BOOK,
        "credit_minor=sum(one.credit_minor for one in accounts if one.currency == currency)",
        "credit_minor=sum(one.debit_minor for one in accounts if one.currency == currency)",
        (f"{TABLES}_totals_show_both_sides_as_they_are",),
    ),
    Bug(
        "trial-balance-over-all", "the totals of one currency have those of all in them", TRIAL,
        "lambda row: (row.currency,))", 'lambda row: ("XXX",))',
        (f"{READS}_the_trial_balance_writes_its_zero_out_and_keeps_customers_together",),
    ),
    Bug(
        "drift-unseen", "a balance that is not the sum of its postings is not found", BOOK,
        "WHERE (b.debit_minor, b.credit_minor) IS DISTINCT FROM (coalesce(p.debit, 0), coalesce(p.credit, 0))",
        "WHERE (b.debit_minor, b.credit_minor) <> (p.debit, p.credit)",
        (f"{TABLES}_a_balance_that_is_missing_or_wrong_on_either_side_is_drift",),
    ),
    Bug(
        "balance-on-the-other-side", "an asset is shown as what we owe", BALANCES,
        'return debit_minor - credit_minor if normal_side == "debit" else credit_minor - debit_minor',
        'return credit_minor - debit_minor if normal_side == "debit" else debit_minor - credit_minor',
        (f"{READS}_an_account_says_its_side_its_balance_and_the_event_that_made_it_so",),
    ),
    Bug(
        "as-of-the-entry-before", "a balance as of an entry does not have that entry", BALANCES,
        "(posting.entry_seq, posting.line) <= ({entry_seq}, {line})",
        "(posting.entry_seq, posting.line) < ({entry_seq}, 1)", OF_MODEL,
    ),
    Bug(
        "checkpoint-counted-twice", "an as-of balance counts what its checkpoint has once more", BALANCES,
        "AND posting.entry_seq > coalesce(k.entry_seq, 0) OFFSET 0", "AND posting.entry_seq > 0 OFFSET 0",
        (f"{READS}_a_checkpoint_is_what_an_as_of_begins_from",),
    ),
    Bug(
        "moment-too-late", "the books as of a time have what was posted behind it", MOMENTS,
        "WHERE entry_seq BETWEEN low AND low + $2 AND posted_at <= $1", "WHERE entry_seq BETWEEN low AND low + $2",
        (f"{READS}_every_time_names_the_last_entry_posted_at_or_before_it",),
    ),
    Bug(
        "hold-unseen-in-its-batch", "the second hold of a batch does not see the first", WIRING,
        "moved=lambda event, look: standings_after(event, look) if isinstance(event, BOOKED) else {},",
        "moved=lambda event, look: {},", OF_BATCHES,
    ),
    Bug(
        "entry-not-written", "a hold is an event and never gets into the books", WIRING,
        "also_of=dict.fromkeys(BOOKED, writer(account_kind))",
        "also_of=dict.fromkeys(BOOKED[:1], writer(account_kind))",
        OF_BATCHES,
    ),
    Bug(
        "no-lock-of-accounts", "two lanes hold the same money at once", EVENTS,
        "            await connection.fetch(LOCK_ACCOUNTS, sorted(wanted.accounts))\n", "            pass\n", OF_LOCKS,
    ),
    Bug(
        "reads-without-locks", "a batch that reads accounts does not lock at its first attempt", STORE,
        "return bool(self.effects or self.accounts)", "return bool(self.effects)", OF_BATCHES,
    ),
    Bug(
        "head-free-for-new-accounts", "a hold from an account without a balance waits for nobody", EVENTS,
        "SELECT 1 FROM head UNION ALL SELECT 1 FROM accounts", "SELECT 1 FROM accounts", OF_LOCKS,
    ),
    Bug(
        "fence-removed", "a consumer that has lost its partition still writes", PARTS,
        "AND o.next_offset = r.expected AND o.taken = r.taken", "AND o.taken = r.taken",
        (f"{CONTRACT}_a_fence_at_another_position_is_refused_and_nothing_is_written",),
    ),
    Bug(
        "version-not-checked", "of two writers of a stream the second overwrites the first", PARTS,
        "WHERE s.stream_id = r.stream_id AND s.version = r.expected", "WHERE s.stream_id = r.stream_id",
        (f"{CONTRACT}_a_stale_version_is_a_conflict_and_nothing_is_written",),
    ),
)  # fmt: skip
