"""The client: sends a user's requests and refreshes the access token."""
