"""The ready-made service and the command line, as the processes they are."""
