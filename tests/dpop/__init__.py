"""DPoP (RFC 9449): proofs, endpoints, guards and clients."""
