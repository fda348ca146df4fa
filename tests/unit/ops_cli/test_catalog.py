"""What ops-cli folds events with: every service that writes events says how, and every type of its topic is known."""

from __future__ import annotations

import pytest

from contracts.topics import INTERNAL, Topic
from services.ops_cli.catalog import deciders


@pytest.mark.parametrize("topic", INTERNAL, ids=lambda topic: topic.writer)
def test_every_type_of_a_topic_can_be_folded(topic: Topic) -> None:
    folded = {event for decider in deciders(topic.writer) for event in decider.events}
    assert folded == set(topic.events)
