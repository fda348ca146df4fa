"""What a transfer costs, and until when.

decides: rate, fee, spread and both amounts of a quote; its expiry
owns: the stream of each quote (stream and key: quote id), schema `quote`
consumes: corridor.transfer.events.v1
publishes: corridor.quote.events.v1
"""
