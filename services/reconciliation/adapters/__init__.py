"""Whom reconciliation asks."""
