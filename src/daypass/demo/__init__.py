"""The demonstration behind `daypass demo`."""
