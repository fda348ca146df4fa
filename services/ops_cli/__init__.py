"""The operator's command line: speaks HTTP to the services, with a token. Decides nothing, owns nothing.

Commands: commands/<noun>.py, each with an `app`; listed in app.py.
"""
