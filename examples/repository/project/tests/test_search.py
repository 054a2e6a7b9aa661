from shelf.search import Search


def test_by_any_word(titles):
    search = Search(titles)
    assert search.find("time") == search.find("MACHINE") == ["The Time Machine"]
    assert search.find("machi") == []


def test_in_their_order():
    titles = [f"Volume {number} of all" for number in range(2000)]
    search = Search(titles)
    for number in range(0, 2000, 20):
        assert search.find(str(number)) == [titles[number]]
    assert search.find("volume") == titles


def test_a_word_that_a_title_has_twice():
    assert Search(["New York, New York"]).find("new") == ["New York, New York"]
