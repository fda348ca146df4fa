"""The outside world: a bank that collects, a bank that pays out, and their own book on disk.

Decides what the partners accepted and paid; it is the judge of "paid once".
Owns its book (SQLite). Imports nothing of Corridor and shares no serialiser with it.
Calls `{corridor}/v1/webhooks/*`, publishes `partner.deposits.v1`, answers `/bank/*`.
"""
