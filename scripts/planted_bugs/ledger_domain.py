"""Bugs in what the ledger decides: templates, entries, holds, adjustments, halts, digests, amounts."""

from scripts.planted_bugs.bug import Bug

DOMAIN = "services/ledger/domain"
TEMPLATES, ENTRIES, HOLDS = f"{DOMAIN}/templates.py", f"{DOMAIN}/entries.py", f"{DOMAIN}/holds.py"
ADJUSTMENTS, HALTS, BLOCKS = f"{DOMAIN}/adjustments.py", f"{DOMAIN}/halts.py", f"{DOMAIN}/blocks.py"
HANDLERS, MONEY = "services/ledger/handlers.py", "services/kernel/money.py"
OF_FACTS, OF_TEMPLATES = ("tests/unit/ledger/test_domain.py",), ("tests/unit/ledger/test_templates.py",)
OF_HOLDS, OF_ADJUSTMENTS = ("tests/unit/ledger/test_holds.py",), ("tests/unit/ledger/test_adjustments.py",)
OF_HALTS, OF_BLOCKS = ("tests/unit/ledger/test_halts.py",), ("tests/unit/ledger/test_blocks.py",)
OF_AMOUNTS = ("tests/unit/kernel/test_conversions.py",)
OF_MODEL = ("tests/integration/ledger/test_model.py",)

BUGS: tuple[Bug, ...] = (
    Bug(
        "wrong-side", "a confirmed payout fills our float instead of emptying it", TEMPLATES,
        'CONFIRMED = (debit("payout_clearing", "receive"), credit("partner_float:{partner}", "receive"))',
        'CONFIRMED = (credit("payout_clearing", "receive"), debit("partner_float:{partner}", "receive"))',
        OF_FACTS,
    ),
    Bug(
        "refund-on-the-wrong-side", "a refund gives the customer the money a second time", TEMPLATES,
        '(debit(HELD, "send"), credit("safeguarding:{partner}", "send"))',
        '(credit(HELD, "send"), debit("safeguarding:{partner}", "send"))',
        OF_MODEL,
    ),
    Bug(
        "refund-out-of-suspense", "a refund leaves the customer's money held for ever", TEMPLATES,
        '(debit(HELD, "send"), credit("safeguarding:{partner}", "send"))',
        '(debit("suspense:deposits", "send"), credit("safeguarding:{partner}", "send"))',
        OF_TEMPLATES,
    ),
    Bug(
        "reversal-repeats", "a failed payout is posted once more instead of being taken back", TEMPLATES,
        '"credit" if leg.side == "debit" else "debit", leg.account', "leg.side, leg.account",
        OF_TEMPLATES,
    ),
    Bug(
        "fee-forgotten", "the fee of a payout is posted nowhere", TEMPLATES,
        '    credit("revenue:fees", "fee"),\n', "", OF_FACTS,
    ),
    Bug(
        "spread-as-fee", "the spread hides in the account of the fees", TEMPLATES,
        'credit("revenue:fx", "spread")', 'credit("revenue:fees", "spread")', OF_FACTS,
    ),
    Bug(
        "late-payout-clears", "a payout that is confirmed late never shows in suspense", TEMPLATES,
        '"payout.late_confirmation": (debit("suspense:payouts", "receive")',
        '"payout.late_confirmation": (debit("payout_clearing", "receive")',
        OF_TEMPLATES,
    ),
    Bug(
        "float-funded-backwards", "money for the float is taken out of it", TEMPLATES,
        '(debit("partner_float:{partner}", "amount"), credit("fx_position", "amount"))',
        '(credit("partner_float:{partner}", "amount"), debit("fx_position", "amount"))',
        OF_MODEL,
    ),
    Bug(
        "lines-of-nothing", "an entry has lines that move nothing", TEMPLATES,
        "        if amounts[leg.amount]\n", "", OF_FACTS,
    ),
    Bug(
        "shortfall-dropped", "what a deposit is short of is nobody's loss", HANDLERS,
        "short = funded.send - funded.received if funded.received < funded.send else nothing", "short = nothing",
        OF_FACTS,
    ),
    Bug(
        "double-posting", "a redelivered fact is posted a second time", ENTRIES,
        "    if entry is not None:\n        return ()\n", "", OF_FACTS,
    ),
    Bug(
        "entry-of-its-stream", "an entry's id follows from the stream: the second fact of a transfer is lost", HANDLERS,
        'entry_id = derive("entry", cause.event_id, kind)', 'entry_id = derive("entry", cause.stream_id, kind)',
        OF_FACTS,
    ),
    Bug(
        "imbalance-unseen", "an entry whose sides differ passes the domain", ENTRIES,
        "    assert not any(imbalance(postings).values())", "    assert imbalance(postings) is not None",
        OF_FACTS,
    ),
    Bug(
        "entry-without-lines", "an entry without a line passes the domain", ENTRIES,
        "assert len(postings) >= 2", "assert len(postings) >= 0", OF_FACTS,
    ),
    Bug(
        "hold-beyond-cover", "a hold takes one minor unit more than there is", HOLDS,
        "if available < wish.amount.minor:", "if available + 1 < wish.amount.minor:", OF_HOLDS,
    ),
    Bug(
        "hold-of-both-sides", "what was spent counts as available again", HOLDS,
        "available = standing.credit_minor - standing.debit_minor", "available = standing.credit_minor", OF_MODEL,
    ),
    Bug(
        "rest-never-released", "what a part payment leaves of its hold stays held", HOLDS,
        'lines=used + _lines("hold.voided", held.customer_id, rest)', "lines=used", OF_HOLDS,
    ),
    Bug(
        "whole-hold-used", "a part payment uses the whole hold", HOLDS,
        "amount = held.amount if wish.minor is None else Money(wish.minor, held.amount.currency)",
        "amount = held.amount", OF_HOLDS,
    ),
    Bug(
        "hold-lost", "a hold that is placed again after it was used is held a second time", HOLDS,
        "            raise HoldResolved(wish.hold_id, hold.state)\n", "            return False\n", OF_HOLDS,
    ),
    Bug(
        "void-takes-the-money", "a hold that is given up is paid out", HOLDS,
        'lines=_lines("hold.voided", held.customer_id, held.amount)',
        'lines=_lines("hold.posted", held.customer_id, held.amount)',
        OF_HOLDS,
    ),
    Bug(
        "same-person-approves", "one person alone puts lines into the books", ADJUSTMENTS,
        "if wish.approved_by == proposed.proposed_by:", "if not wish.approved_by:", OF_ADJUSTMENTS,
    ),
    Bug(
        "adjusted-twice", "an adjustment is approved again after it was decided", ADJUSTMENTS,
        "            return Approved(entry_id=event.entry_id, proposed_by=adjustment.proposed_by, "
        "approved_by=event.approved_by)",
        "            return adjustment",
        OF_ADJUSTMENTS,
    ),
    Bug(
        "adjustment-overdraws", "an adjustment takes more from a customer than there is", ADJUSTMENTS,
        "    _covered(proposed.lines, wish.seen)\n", "", OF_ADJUSTMENTS,
    ),
    Bug(
        "halt-lifted-alone", "one person alone lets money move in broken books", HALTS,
        "        case LiftAsked(requested_by=by) if by == wish.by:\n            raise SamePerson\n", "", OF_HALTS,
    ),
    Bug(
        "digest-not-chained", "a block's digest covers nothing before it", BLOCKS,
        "self._hash = sha256(prev_digest)", "self._hash = sha256(GENESIS)", OF_BLOCKS,
    ),
    Bug(
        "digest-without-amounts", "an amount can be changed under an unchanged digest", BLOCKS,
        "(each.line, each.account_id, each.currency, each.side, each.amount_minor)",
        "(each.line, each.account_id, each.currency, each.side)", OF_BLOCKS,
    ),
    Bug(
        "float", "amounts are divided in floating point, which has 15 digits", MONEY,
        "    minor = exact.numerator // exact.denominator\n",
        "    minor = int(exact.numerator / exact.denominator)\n",
        OF_AMOUNTS,
    ),
    Bug(
        "rounded-our-way-up", "a customer is given the fraction that nobody has", MONEY,
        "rounded_down(_of(self.source, money) * self.per_minor)",
        "rounded_up(_of(self.source, money) * self.per_minor)",
        OF_AMOUNTS,
    ),
    Bug(
        "remainder-lost", "minor units that buy nothing are in no account", MONEY,
        "return Conversion(target, used, money - used, ", "return Conversion(target, used, money - money, ", OF_AMOUNTS,
    ),
    Bug(
        "exponents-mixed-up", "an amount in yen is converted as if it had cents", MONEY,
        "_per_minor(self.value, exponent(self.target) - exponent(self.source))", "_per_minor(self.value, 0)",
        OF_AMOUNTS,
    ),
    Bug(
        "negative-money", "a debit can be written as a credit below zero", MONEY,
        "not 0 <= self.minor <= MINOR_MAX", "not -MINOR_MAX <= self.minor <= MINOR_MAX",
        ("tests/unit/kernel/test_money.py",),
    ),
)  # fmt: skip
