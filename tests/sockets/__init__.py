"""Ten thousand open WebSockets in two processes: none is dropped, those of ended sessions are closed."""
