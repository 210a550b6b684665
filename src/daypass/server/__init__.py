"""The ready-made service behind `daypass serve`."""
