"""Kafka transactions that a killed job has left open."""

from typing import Any

from kafka import KafkaAdminClient, KafkaProducer

from labkit.stream.topics import CLIENT

OPEN = ("Ongoing", "PrepareAbort", "PrepareCommit")


def end_transactions(servers: str, names: str) -> None:
    """Abort the transactions that a killed run left open: until then nobody reads what was written behind them.

    Args:
        servers: Kafka's bootstrap servers.
        names: How the names of the transactions begin.
    """
    admin: Any = KafkaAdminClient(bootstrap_servers=servers, **CLIENT)
    try:
        found = [each for listed in admin.list_transactions().values() for each in listed]
    finally:
        admin.close()
    for each in found:
        if each.transactional_id.startswith(names) and each.state.value in OPEN:
            # Whoever takes over the name ends what is open under it, and whoever had it before is refused.
            producer = KafkaProducer(bootstrap_servers=servers, transactional_id=each.transactional_id, **CLIENT)
            producer.init_transactions()
            producer.close()
