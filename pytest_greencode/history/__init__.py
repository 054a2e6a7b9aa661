"""Key figures from run to run, of samples and of ordinary tests: kept in a file, and where they stepped."""
