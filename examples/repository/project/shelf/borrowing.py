"""Who has which book."""


class Shelf:
    def __init__(self, titles):
        self._there = set(titles)
        self._readers = {}

    def borrow(self, title, reader):
        """Raises LookupError for a title that is out or unknown."""
        if title not in self._there:
            raise LookupError(title)
        self._there.remove(title)
        self._readers[title] = reader

    def give_back(self, title):
        """Raises LookupError for a title that is not out."""
        del self._readers[title]
        self._there.add(title)

    def borrowed_by(self, reader):
        """The reader's titles, in the order in which they were taken."""
        return [title for title, each in self._readers.items() if each == reader]
