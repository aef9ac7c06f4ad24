#!/bin/bash
# Writes connect-distributed.properties from the image's own and all CONNECT_ variables, as the official image does.
set -euo pipefail
if [ "${1:-}" != start ]; then exec "$@"; fi

: "${HOST_NAME:=$(hostname -i)}" "${GROUP_ID:=1}"
for name in CONFIG_STORAGE_TOPIC OFFSET_STORAGE_TOPIC; do
  if [ -z "${!name:-}" ]; then
    echo "The $name variable must be set." >&2
    exit 1
  fi
done
export CONNECT_BOOTSTRAP_SERVERS=${BOOTSTRAP_SERVERS:-0.0.0.0:9092}
export CONNECT_REST_ADVERTISED_HOST_NAME=${ADVERTISED_HOST_NAME:-$HOST_NAME}
export CONNECT_REST_ADVERTISED_PORT=${ADVERTISED_PORT:-8083}
export CONNECT_GROUP_ID=$GROUP_ID
export CONNECT_CONFIG_STORAGE_TOPIC=$CONFIG_STORAGE_TOPIC
export CONNECT_OFFSET_STORAGE_TOPIC=$OFFSET_STORAGE_TOPIC
export CONNECT_STATUS_STORAGE_TOPIC=${STATUS_STORAGE_TOPIC:-connect-status}
export CONNECT_KEY_CONVERTER=${KEY_CONVERTER:-org.apache.kafka.connect.json.JsonConverter}
export CONNECT_VALUE_CONVERTER=${VALUE_CONVERTER:-org.apache.kafka.connect.json.JsonConverter}
export CONNECT_OFFSET_FLUSH_INTERVAL_MS=${OFFSET_FLUSH_INTERVAL_MS:-60000}
export CONNECT_OFFSET_FLUSH_TIMEOUT_MS=${OFFSET_FLUSH_TIMEOUT_MS:-5000}
export CONNECT_TASK_SHUTDOWN_GRACEFUL_TIMEOUT_MS=${SHUTDOWN_TIMEOUT:-10000}

# What a volume or an earlier start has left is kept, and what the variables say goes over it.
cp -rn "$KAFKA_HOME"/config.orig/. "$KAFKA_HOME/config"
config=$KAFKA_HOME/config/connect-distributed.properties
for name in $(compgen -e | grep '^CONNECT_'); do
  key=${name#CONNECT_}
  key=${key,,}
  key=${key//_/.}
  sed -i "/^$key=/d" "$config"
  printf '%s=%s\n' "$key" "${!name}" >> "$config"
done
# Options are words, as in Kafka's own scripts.
# shellcheck disable=SC2206
options=(${HEAP_OPTS:-${KAFKA_HEAP_OPTS:--Xms256M -Xmx2G}} ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseG1GC} ${KAFKA_OPTS:-})
exec java -cp "$KAFKA_HOME/libs/*" -Dlog4j2.configurationFile="$KAFKA_HOME/config/log4j2.xml" "${options[@]}" \
  org.apache.kafka.connect.cli.ConnectDistributed "$config"
