"""`weakly` calls a method as long as its object exists."""

from __future__ import annotations

from functools import partial

from slipway.weak_callbacks import weakly


class Owner:
    def __init__(self, heard: list[tuple[int, str]]) -> None:
        self.heard = heard
        self.callback = weakly(self, Owner.hear)

    def hear(self, number: int, *, text: str = "") -> None:
        self.heard.append((number, text))


def test_the_owner_is_called_until_it_is_gone() -> None:
    heard: list[tuple[int, str]] = []
    owner = Owner(heard)
    callback = partial(owner.callback, 1)
    callback(text="a")
    del owner  # it holds its callback, and is freed nevertheless
    callback(text="b")
    assert heard == [(1, "a")]
