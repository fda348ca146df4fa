"""OpenTelemetry's names of what our spans say, in one place: those of messaging are still being changed."""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"

MESSAGING_SYSTEM = "messaging.system"
MESSAGING_OPERATION = "messaging.operation.type"  # send | process
MESSAGING_GROUP = "messaging.consumer.group.name"
MESSAGING_COUNT = "messaging.batch.message_count"
HTTP_STATUS = "http.response.status_code"
HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
KAFKA = "kafka"
