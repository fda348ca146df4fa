"""Whether the books balance.

decides:   which journal entry a fact makes; an entry balances in each currency or does not exist
           which entries are settled in blocks, and in which currencies no new money moves
owns:      account, entry, posting, balance (kernel/book.py), block, balance_at, written with the event that says so
consumes:  deposit.observed, transfer.funding_confirmed, transfer.payout_initiated, payout.confirmed
publishes: corridor.ledger.events.v1
"""
