"""The page for operators at ``/admin``, and the endpoints that it calls."""
