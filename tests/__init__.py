"""The tests: a folder for each room, and for what only a running house shows."""
