"""The public door, and who may act.

decides: who may log in and with which roles; senders and receivers, and whether they passed KYC
owns: the streams of users (stream and key: user id) and profiles (stream and key: profile id), schema `core`
consumes: nothing
publishes: corridor.customer.events.v1
"""
