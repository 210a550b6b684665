"""Servers of the tests: started on free ports, with their own folders, and ended by the test that started them."""
