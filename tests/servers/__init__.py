"""Servers of the tests' own: started on free ports, in folders of their own, and ended by whoever started them."""
