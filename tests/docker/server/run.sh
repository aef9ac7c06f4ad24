#!/bin/bash
# Runs Debezium Server with the configuration in config/, as the distribution's own script does.
# shellcheck disable=SC2086
exec java ${DEBEZIUM_OPTS:-} ${JAVA_OPTS:-} -cp "$(ls debezium-server-*runner.jar):config:lib/*" io.debezium.server.Main
