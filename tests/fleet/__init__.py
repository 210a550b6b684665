"""Campaigns with many workers on several machines that share connections only through a database.

`python -m tests.fleet` runs them at full size; `test_fleet` runs short versions in the suite.
"""
