"""The tests, one room for each of the house."""
