"""Where our books and the partners' differ.

decides:   when a run begins and ends, and which difference is an issue; never what is done about it
owns:      runs and issues; what each topic says of each transfer
consumes:  all topics of ours; the provider's own book over HTTP
publishes: corridor.recon.events.v1
"""
