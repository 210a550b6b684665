"""Private database servers for tests: started on a free port, always ended."""
