"""The fixtures for the tests of applications."""
