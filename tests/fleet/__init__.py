"""Many workers on several machines, which share connections by a database alone: counted campaigns.

`python -m tests.fleet` runs them at full size; `test_fleet` runs short versions in the suite.
"""
