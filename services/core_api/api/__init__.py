"""The door over HTTP: users and sessions, profiles and their KYC, what only our own services may ask."""
