"""What runs inside the sandbox: standard library only, never imported by the host except for its text."""
