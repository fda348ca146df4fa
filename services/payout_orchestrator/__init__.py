"""How and when money leaves; never twice.

decides:   whether a payout may be sent, whether it was, and when a person must look
owns:      the payout streams (payout id = uuid5 of transfer id and n) and the calls to the partners that pay out
consumes:  transfer.funding_confirmed, ledger.currency_halted, ledger.currency_resumed
publishes: corridor.payout.events.v1
"""
