"""Migrations of the table of shared storages."""
