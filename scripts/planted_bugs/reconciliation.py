"""Bugs in what finds the errors of others: comparison, watermark, statements."""

from scripts.planted_bugs.bug import Bug

COMPARE, WATERMARK = (f"services/reconciliation/domain/{name}.py" for name in ("compare", "watermark"))
CHECKS, LINES, HEADS = (
    f"services/reconciliation/domain/statements/{name}.py" for name in ("checks", "entries", "heads")
)
OF_COMPARE = ("tests/unit/reconciliation/test_compare.py",)
OF_WATERMARK = ("tests/unit/reconciliation/test_watermark.py",)
INTAKE = "tests/integration/reconciliation/test_statement_intake.py::test"
OF_LINES = ("tests/unit/reconciliation/statements/test_lives.py",)

BUGS: tuple[Bug, ...] = (
    Bug(
        "late-match", "what the provider has not told us yet is a break at once", COMPARE,
        "        return payment.ended_at <= cutoffs.provider\n", "        return True\n", OF_COMPARE,
    ),
    Bug(
        "paid-twice-unseen", "two payments for one transfer are no break", COMPARE,
        "    if len(accepted) > 1:\n", "    if len(accepted) > 2:\n", OF_COMPARE,
    ),
    Bug(
        "confirmed-is-enough", "a payout that we believe paid and the provider does not is no break", COMPARE,
        "        return payment.status != SETTLED\n", "        return payment.status == REJECTED\n",
        ("tests/unit/reconciliation/test_states.py",),
    ),
    Bug(
        "currency-not-compared", "an amount in another currency is the same amount", COMPARE,
        "(payment.amount_minor, payment.currency) != (payout.amount_minor, payout.currency)",
        "payment.amount_minor != payout.amount_minor", OF_COMPARE,
    ),
    Bug(
        "entry-not-compared", "an entry in other accounts than it follows is no break", COMPARE,
        "        elif expected != actual:\n", "        elif sum(expected.values()) != sum(actual.values()):\n",
        OF_COMPARE,
    ),
    Bug(
        "collected-too-late", "money that a partner has and never reported is no break", COMPARE,
        "if wanted <= observed <= booked:", "if observed <= booked:", OF_COMPARE,
    ),
    Bug(
        "watermark-ahead", "a topic that lags is judged as if it had spoken", WATERMARK,
        "return min(read_at, max(floor, min(silent))) if silent else read_at", "return read_at", OF_WATERMARK,
    ),
    Bug(
        "statement-counted-twice", "an entry that stands in two statements is two entries", LINES,
        'return (Claim(CLAIM, f"{partner}\\x1f{account}\\x1f{line.entry_reference}", line.money),)', "return ()",
        (f"{INTAKE}_statements_that_overlap_have_their_common_entries_once",),
    ),
    Bug(
        "line-overwritten", "another content under a known reference replaces the first", LINES,
        "                if known.content == line.content:\n                    return ()\n",
        "                if known.content != line.content:\n                    return ()\n", OF_LINES,
    ),
    Bug(
        "closing-not-checked", "a statement whose entries do not add up is believed", CHECKS,
        "return signed(opening) + net_minor - signed(closing)", "return signed(closing) - signed(closing)", OF_LINES,
    ),
    Bug(
        "gap-unseen", "a statement that is missing by its number is not missed", CHECKS,
        "after.sequence == before.sequence + 1", "after.sequence > before.sequence", OF_LINES,
    ),
)  # fmt: skip
