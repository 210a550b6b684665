"""Many workers on several machines, which share connections only by a database: counted campaigns.

`python -m tests.fleet` runs them at full size; `test_fleet` runs short versions in the suite.
"""
