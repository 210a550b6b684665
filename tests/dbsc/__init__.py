"""Sessions bound to a key of the browser (DBSC)."""
