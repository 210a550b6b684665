"""The explorer of the rotation rule: every interleaving of a small world, around the functions that ship."""
