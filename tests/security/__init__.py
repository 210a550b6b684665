"""What an attacker would try, subject by subject; `docs/security.md` says which standard each test is about."""
