"""The core: rule, tokens, keys, issuer."""
