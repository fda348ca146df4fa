"""Names that runbooks start things by; what they start is in services/."""
