"""Reports: pure functions from an account to text. They read the same account and so cannot disagree."""
