"""Moves ten thousand users from another library to Daypass and back, with the real library: `make migrations`."""
