import pytest
from shelf.slugs import slug


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Middlemarch", "middlemarch"),
        ("The Time Machine", "the-time-machine"),
        ("Les Misérables", "les-miserables"),
        ("Fahrenheit 451", "fahrenheit-451"),
        ("  Oh -- really?! ", "oh-really"),
    ],
)
def test_slug(title, expected):
    assert slug(title) == expected


def test_a_slug_is_its_own_slug():
    assert slug(slug("War & Peace")) == "war-peace"


@pytest.mark.parametrize("title", ["", "?!", "本"])
def test_nothing_left(title):
    with pytest.raises(ValueError, match="nothing"):
        slug(title)
