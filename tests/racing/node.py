"""One process of a `Fleet`: ``python -m racing.node DESCRIPTOR``."""

import logging
import sys
from multiprocessing.connection import Connection

from .presenters import follow

if __name__ == "__main__":
    logging.disable()  # the caller looks at the events
    follow(Connection(int(sys.argv[1])))
