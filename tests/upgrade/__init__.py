"""A node of version 0.1 and one of this version on one store."""
