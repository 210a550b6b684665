"""How many sockets a process may have open."""

import resource


def allow() -> int:
    """Allow as many as the machine lets this process have; return how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
