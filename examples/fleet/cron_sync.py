"""A cron script, on as many machines as you like; two that overlap refresh once.

*/5 * * * *  app  python /srv/fleet/cron_sync.py tenant-42
"""

import sys

from connections import books

from daypass import LoginRequired, RefreshUnavailable, StoreError

TRY_LATER = 75
"""``EX_TEMPFAIL`` of sysexits.h: the next run will do."""

try:
    answer = books(sys.argv[1]).get("/me").raise_for_status()
except (RefreshUnavailable, StoreError) as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(TRY_LATER)
except LoginRequired as error:
    sys.exit(f"connect the account again: {error}")
sys.stdout.write(f"{answer.json()['user']}\n")
