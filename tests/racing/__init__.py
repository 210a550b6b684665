"""The rotation rule against the real stores, with real threads, tasks and processes."""
