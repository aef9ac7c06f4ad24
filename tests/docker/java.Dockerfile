# A plain Debian with a Java runtime and Kafka's jars, shared by the stand-ins for Kafka and Debezium.
FROM labkit-stand-in/base
COPY java-runtime /opt/java
COPY kafka /opt/kafka-jars
ENV JAVA_HOME=/opt/java PATH=/opt/java/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
