"""Which money arrived, for whom.

decides: whether the money on a route is what its transfer waits for; that the same money is counted once
owns: the stream of each route (stream and key: route id), claims on partners' references, schema `deposit`
consumes: corridor.transfer.events.v1, partner.deposits.v1
publishes: corridor.deposit.events.v1
"""
