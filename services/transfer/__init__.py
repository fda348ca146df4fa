"""The life of a transfer: the process manager.

decides: whether a quote may be used, when a transfer is funded, paid out, over, or for a person
owns: the stream of each transfer (stream and key: transfer id), claims on quotes and routes, schema `transfer`
consumes: corridor.{customer,quote,deposit,payout}.events.v1; of corridor.ledger.events.v1 the halts
publishes: corridor.transfer.events.v1
"""
