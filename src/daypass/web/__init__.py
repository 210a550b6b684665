"""What the issuer's endpoints say over HTTP, and the frameworks they are mounted in."""
