"""Titles by their words."""


class Search:
    def __init__(self, titles):
        self._titles = list(titles)

    def find(self, word):
        """The titles with this word, in their order."""
        return [title for title in self._titles if word.lower() in title.lower().split()]
