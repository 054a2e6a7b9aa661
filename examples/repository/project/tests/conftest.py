import pytest


@pytest.fixture
def titles():
    return ["Emma", "Ulysses", "The Time Machine"]
