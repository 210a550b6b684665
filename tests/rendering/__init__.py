"""`daypass/server`: pages that are rendered in JavaScript in front of a Python API."""
