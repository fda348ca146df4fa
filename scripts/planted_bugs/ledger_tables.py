"""Bugs in the tables of the books: each constraint and each guard left out."""

from scripts.planted_bugs.bug import Bug

BOOK, BOOKS, BLOCKS = "services/kernel/sql/book.sql", "services/kernel/sql/books.sql", "services/ledger/sql/blocks.sql"
OF_BOOK = ("tests/integration/ledger/test_book.py",)
OF_CONSTRAINTS = ("tests/integration/ledger/test_constraints.py",)
LAST_OF_BOOKS = "ALTER TABLE book_head ENABLE ALWAYS TRIGGER book_head_kept, ENABLE ALWAYS TRIGGER book_head_grows;"
LAST_OF_BLOCKS = "ALTER TABLE balance_at ENABLE ALWAYS TRIGGER balance_at_append_only;"
DROPPED = (  # trigger, table, what then goes wrong
    ("account_append_only", "account", "an account can be changed and deleted"),
    ("entry_append_only", "entry", "an entry can be changed and deleted"),
    ("posting_append_only", "posting", "a line can be changed and deleted"),
    ("balance_kept", "balance", "a balance can be deleted"),
    ("balance_stays", "balance", "a balance can be lowered"),
    ("balance_protected", "balance", "a customer's account can be overdrawn"),
    ("balance_as_account", "balance", "a balance can be made without its account, unprotected"),
    ("account_as_charted", "account", "a customer's account can be opened unprotected"),
    ("entry_has_lines", "entry", "an entry needs no lines"),
    ("posting_balances", "posting", "an entry need not balance"),
    ("chart_append_only", "chart", "a kind of account can lose its protection"),
    ("book_head_kept", "book_head", "the head of the book can be deleted"),
    ("book_head_grows", "book_head", "numbers of entries can be given again"),
)
DROPPED_OF_BLOCKS = (
    ("block_follows", "block", "a block can be slipped in that is not chained to the one before"),
    ("block_append_only", "block", "a block can be changed"),
    ("balance_at_append_only", "balance_at", "a checkpoint of a balance can be changed"),
)


def dropped(file: str, behind: str, trigger: str, table: str, breaks: str, tests: tuple[str, ...]) -> Bug:
    """The trigger is gone when the file has run."""
    gone = f"{behind}\nDROP TRIGGER {trigger} ON {table};"
    return Bug(f"no-{trigger.replace('_', '-')}", breaks, file, behind, gone, tests)


BUGS: tuple[Bug, ...] = (
    *(dropped(BOOKS, LAST_OF_BOOKS, *each, OF_BOOK) for each in DROPPED),
    *(dropped(BLOCKS, LAST_OF_BLOCKS, *each, OF_CONSTRAINTS) for each in DROPPED_OF_BLOCKS),
    Bug(
        "guards-asleep-in-replica", "a superuser who plays replica changes what was booked", BOOKS,
        "ALTER TABLE balance ENABLE ALWAYS TRIGGER balance_as_account, ENABLE ALWAYS TRIGGER balance_stays;\n", "",
        OF_BOOK,
    ),
    Bug(
        "currencies-added-up", "an entry balances over two currencies together", BOOKS,
        "        GROUP BY entry_seq, currency\n", "        GROUP BY entry_seq\n", OF_BOOK,
    ),
    Bug(
        "lines-added-later", "a balanced pair of lines can be slipped into an old entry", BOOKS,
        "WHERE e.xmin IS DISTINCT FROM pg_current_xact_id()::xid", "WHERE e.entry_seq IS NULL", OF_BOOK,
    ),
    Bug(
        "posting-of-another-currency", "pounds can be posted to an account in birr", BOOKS,
        "LEFT JOIN account a USING (account_id, currency) WHERE",
        "LEFT JOIN account a USING (account_id) WHERE", OF_CONSTRAINTS,
    ),
    Bug(
        "numbers-with-gaps", "an entry can have any number", BOOKS,
        "IF entries > 0 AND (last <> head OR first <> head - entries + 1) THEN", "IF false THEN", OF_CONSTRAINTS,
    ),
    Bug(
        "one-cause-two-entries", "one cause can be booked twice", BOOK,
        "    UNIQUE (cause_id, kind)                  -- one cause, one entry\n",
        "    CHECK (cause_id IS NOT NULL)\n", OF_BOOK,
    ),
    Bug(
        "amounts-below-zero", "a line can move less than nothing", BOOK,
        "amount_minor bigint NOT NULL CHECK (amount_minor > 0)", "amount_minor bigint NOT NULL", OF_CONSTRAINTS,
    ),
    Bug(
        "a-third-side", "a line can be on neither side", BOOK,
        "side text NOT NULL CHECK (side IN ('debit', 'credit'))", "side text NOT NULL", OF_CONSTRAINTS,
    ),
)  # fmt: skip
