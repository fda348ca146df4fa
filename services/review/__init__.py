"""What a person must look at.

decides:   nothing: a decision is executed by the service that owns the state, through its API
owns:      one queue of everything that waits for a person
consumes:  all topics of ours
publishes: nothing
"""
