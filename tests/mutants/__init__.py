"""Mutation testing: small changes of the core that a test has to notice: `make mutants`."""
