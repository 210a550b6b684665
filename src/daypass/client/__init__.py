"""What sends a user's requests, and refreshes for them."""
