"""A shelf of books: what is on it, who has what, and where to find it."""
