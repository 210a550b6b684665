"""The limit of open files of a process."""

import resource


def allow() -> int:
    """Raise this process's limit of open files as far as the system allows; return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
