"""Kafka topics: making them before anyone reads, and where they end."""

from collections.abc import Mapping
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError
from kafka.structs import TopicPartition

from labkit.errors import LabError
from labkit.settings import (
    BYTES_PREFIX,
    CSV_PREFIX,
    PREDICTIONS_TOPIC,
    TEST_TABLE,
    TRAIN_TABLE,
    Endpoints,
    table_topic,
)

CLIENT: Mapping[str, Any] = {"bootstrap_timeout_ms": 5000, "reconnect_backoff_max_ms": 1000}
"""For every Kafka client: how long a broker may take to answer at all, and the longest pause between two tries to
reconnect, milliseconds. kafka-python's defaults, 30 s each, are a long silence when a server was killed."""

# A heartbeat only says that all is well: an hour of them is plenty, in small segments so that old ones can go.
HEARTBEAT_CONFIG = {"retention.ms": "3600000", "segment.bytes": "1048576"}
TOPIC_ADVICE = "labkit up makes the lab's topics; a lesson's are made by its cells, from the top"


class MissingTopicError(LabError):
    """There is no such topic, or none yet."""


def create_topics(endpoints: Endpoints, partitions: int = 1) -> None:
    """Make the lab's topics where they are missing.

    A topic that no event has reached yet does not exist, and a consumer subscribed to it would wait for nothing.

    Args:
        endpoints: Where Kafka answers.
        partitions: Of the bytes route's topics and of the predictions, which are spread by row. The csv route has one:
            its key is the label.
    """
    prefixes, tables = (CSV_PREFIX, BYTES_PREFIX), (TRAIN_TABLE, TEST_TABLE)
    by_row = [*(table_topic(BYTES_PREFIX, table) for table in tables), PREDICTIONS_TOPIC]
    new = [NewTopic(name, partitions, 1) for name in by_row]
    new += [NewTopic(table_topic(CSV_PREFIX, table), 1, 1) for table in tables]
    new += [NewTopic(f"__debezium-heartbeat.{prefix}", 1, 1, topic_configs=HEARTBEAT_CONFIG) for prefix in prefixes]
    admin = _admin(endpoints.kafka)
    try:
        existing = set(admin.list_topics())
        missing = [topic for topic in new if topic.name not in existing]
        if missing:
            try:
                admin.create_topics(missing)
                admin.wait_for_topics([topic.name for topic in missing])
            except TopicAlreadyExistsError:
                pass  # Another start made them in the meantime.
    finally:
        admin.close()


def offset_range(servers: str, topic: str) -> Mapping[TopicPartition, tuple[int, int]]:
    """First and next offset of each partition of a topic.

    Transaction markers take offsets too: the difference is not a count of records.

    Raises:
        MissingTopicError: There is no such topic.
        LabError: The broker is away.
    """
    try:
        consumer = KafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed", **CLIENT)
    except KafkaError as error:
        raise LabError(f"no Kafka broker answers at {servers}", "labkit up") from error
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise MissingTopicError(f"there is no topic {topic!r}", TOPIC_ADVICE)
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        first, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        return {partition: (first[partition], end[partition]) for partition in partitions}
    finally:
        consumer.close()


def topic_id(servers: str, topic: str) -> str:
    """What tells a topic from one of the same name that was made before or after it; Kafka draws it at random.

    Raises:
        MissingTopicError: There is no such topic.
        LabError: The broker is away, or does not tell.
    """
    admin = _admin(servers)
    try:
        (found,) = admin.describe_topics([topic])
    except KafkaError as error:
        raise LabError(f"Kafka does not tell of topic {topic!r}: {error}", "labkit status") from error
    finally:
        admin.close()
    if found["error_code"] == UnknownTopicOrPartitionError.errno:
        raise MissingTopicError(f"there is no topic {topic!r}", TOPIC_ADVICE)
    if found["error_code"]:
        raise LabError(f"Kafka does not tell of topic {topic!r}: error {found['error_code']}", "labkit status")
    return str(found["topic_id"])


def _admin(servers: str) -> Any:
    try:
        return KafkaAdminClient(bootstrap_servers=servers, **CLIENT)
    except KafkaError as error:
        raise LabError(f"no Kafka broker answers at {servers}", "labkit up") from error
