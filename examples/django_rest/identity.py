"""Who logs in, and what for."""

import os

from daypass import Daypass
from daypass.web.django.users import Users, as_user

# staff may write, everybody may read
users = Users(lambda person: as_user(person, scope="read write" if person.is_staff else "read"))
auth = Daypass(
    "sqlite:///sessions.db",
    issuer="http://localhost:8000",
    access_ttl=os.environ.get("ACCESS_TTL", "15m"),
    load_user=users.load_user,
    authenticate=users.authenticate,
)
