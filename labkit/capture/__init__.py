"""Debezium: connector configurations, the REST client, the change event and the transform."""
