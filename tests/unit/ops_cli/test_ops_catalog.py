"""The catalog of the command line is that of the services."""

from __future__ import annotations

import pytest

from contracts.topics import INTERNAL, Topic
from services.ops_cli import catalog
from services.ops_cli.exits import Exit, OpsError


@pytest.mark.parametrize("topic", INTERNAL, ids=lambda topic: topic.writer)
def test_the_deciders_of_a_service_fold_every_event_of_its_topic(topic: Topic) -> None:
    deciders = catalog.deciders(topic.writer)
    assert {kind for each in deciders for kind in each.events} == set(topic.events)


def test_a_projection_is_found_by_its_name_and_by_its_service() -> None:
    assert catalog.projection("quote_terms")[0] == catalog.projection("transfer.quote_terms")[0] == "transfer"
    assert len({(service, each.name) for service, each in catalog.projections().values()}) >= 9


def test_a_projection_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(OpsError) as refused:
        catalog.projection("quoteterms")
    assert refused.value.code == Exit.NOT_FOUND
    assert "transfer.quote_terms" in refused.value.hint
