"""Titles as parts of addresses."""

import re
import unicodedata


def slug(title):
    """`title` in lower-case ASCII letters and digits, with hyphens between the words. Raises ValueError for none."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.lower())
    if not words:
        raise ValueError(f"nothing is left of {title!r}")
    return "-".join(words)
