"""What the script that creates a run receives about versions."""

from slipway.graphs.version_choice import NO_CHOICE, VersionChoice


def test_a_graph_without_a_choice_sends_nothing() -> None:
    assert NO_CHOICE.members() == {}
    assert VersionChoice(moves="pinned").members() == {}


def test_members_that_are_not_set_are_not_sent() -> None:
    choice = VersionChoice(new="2", current="1", ramping="2", rolled_out=True)

    assert choice.members() == {
        "new": "2",
        "current": "1",
        "ramping": "2",
        "moves": "at-next-run",
        "rolled_out": True,
    }
    assert VersionChoice(explicit="1").members() == {"explicit": "1", "moves": "at-next-run"}
