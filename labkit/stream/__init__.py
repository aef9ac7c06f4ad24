"""Kafka: topics, readers, records to events and to tensors."""
