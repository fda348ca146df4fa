from contracts.topics import TOPIC_CONFIG
from scripts.topics import NAMES, differences
from services.kernel.topic_admin import Live

GOOD = {name: Live(4, TOPIC_CONFIG) for name in NAMES}


def test_topics_as_written_have_no_difference() -> None:
    assert differences(GOOD, 4) == []


def test_topics_of_others_are_left_alone() -> None:
    assert differences(GOOD | {"theirs": Live(1)}, 4) == []


def test_a_missing_topic_is_named() -> None:
    (fault,) = differences({name: GOOD[name] for name in NAMES[1:]}, 4)
    assert fault.startswith(NAMES[0])


def test_another_number_of_partitions_is_refused() -> None:
    assert len(differences(GOOD, 12)) == len(NAMES)


def test_a_topic_that_forgets_is_refused() -> None:
    (fault,) = differences(GOOD | {NAMES[0]: Live(4, TOPIC_CONFIG | {"retention.ms": "604800000"})}, 4)
    assert "retention.ms" in fault
