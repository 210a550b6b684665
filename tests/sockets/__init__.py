"""Ten thousand open WebSockets in two processes: none is dropped, ended ones are closed, and what one costs."""
