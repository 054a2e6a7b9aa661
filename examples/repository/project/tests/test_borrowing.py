import unittest

import pytest
from shelf.borrowing import Shelf


def test_what_is_borrowed_is_out(titles):
    shelf = Shelf(titles)
    shelf.borrow("Emma", "Ann")
    with pytest.raises(LookupError):
        shelf.borrow("Emma", "Bob")


def test_what_came_back_can_be_borrowed(titles):
    shelf = Shelf(titles)
    shelf.borrow("Emma", "Ann")
    shelf.give_back("Emma")
    shelf.borrow("Emma", "Bob")
    assert shelf.borrowed_by("Bob") == ["Emma"]
    assert shelf.borrowed_by("Ann") == []


def test_the_order_of_taking(titles):
    shelf = Shelf(titles)
    for title in reversed(titles):
        shelf.borrow(title, "Ann")
    assert shelf.borrowed_by("Ann") == ["The Time Machine", "Ulysses", "Emma"]


class UnknownTitles(unittest.TestCase):
    def test_borrow(self):
        self.assertRaises(LookupError, Shelf([]).borrow, "Emma", "Ann")

    def test_give_back(self):
        self.assertRaises(LookupError, Shelf(["Emma"]).give_back, "Emma")
