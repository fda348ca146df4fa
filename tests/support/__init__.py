"""What tests share: the given/when/then language, builders, fakes of ten lines, the stack."""
