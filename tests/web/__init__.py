"""What the issuer says over HTTP: purely, and in the frameworks it is mounted in."""
