"""What is stuck, of everything that should move on: asked of PostgreSQL with a role that reads only, and of Kafka.

rules.py says what each state waits for, machines.py which states there are, streams.py, queues.py and lag.py look.
"""
