package io.debezium.transforms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.runtime.ConnectMetrics;
import org.apache.kafka.connect.runtime.ConnectorConfig;
import org.apache.kafka.connect.runtime.TransformationStage;
import org.apache.kafka.connect.runtime.isolation.LoaderSwap;
import org.apache.kafka.connect.runtime.isolation.PluginDesc;
import org.apache.kafka.connect.runtime.isolation.Plugins;
import org.apache.kafka.connect.runtime.standalone.StandaloneConfig;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.util.ConnectorTaskId;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The jar as Kafka Connect finds, configures and chains it, behind Debezium's own ExtractNewRecordState. The system
 * property {@code plugin.path} names the folder of both, as a worker's configuration does; neither may be on the class
 * path, where a worker has them neither.
 */
class InKafkaConnectTest {

    private static final String TRANSFORM = "io.debezium.transforms.MnistToCsv";

    private static final Schema SOURCE = SchemaBuilder.struct().name("io.debezium.connector.postgresql.Source")
            .field("table", Schema.STRING_SCHEMA).field("lsn", Schema.OPTIONAL_INT64_SCHEMA).build();
    private static final Schema ROW = SchemaBuilder.struct().optional().name(Rows.TOPIC + ".Value")
            .field("id", Schema.INT32_SCHEMA)
            .field("label", Schema.OPTIONAL_INT16_SCHEMA)
            .field("pixels", Schema.OPTIONAL_BYTES_SCHEMA)
            .build();
    private static final Schema ENVELOPE = SchemaBuilder.struct().name(Rows.TOPIC + ".Envelope").version(2)
            .field("before", ROW)
            .field("after", ROW)
            .field("source", SOURCE)
            .field("op", Schema.STRING_SCHEMA)
            .field("ts_ms", Schema.OPTIONAL_INT64_SCHEMA)
            .build();

    private static Map<String, String> worker;
    private static Plugins plugins;

    private final List<TransformationStage<SourceRecord>> chain = new ArrayList<>();

    @BeforeAll
    static void scan() {
        String path = System.getProperty("plugin.path");
        assertNotNull(path, "run with -Dplugin.path=...");
        worker = Map.of(
                "plugin.path", path,
                "plugin.discovery", "service_load",
                "bootstrap.servers", "localhost:9092",
                "offset.storage.file.filename", "unused",
                "key.converter", "org.apache.kafka.connect.storage.StringConverter",
                "value.converter", "org.apache.kafka.connect.storage.StringConverter");
        plugins = new Plugins(worker);
    }

    @AfterEach
    void close() {
        chain.forEach(TransformationStage::close);
    }

    /** The talk's connector configuration with these additions, checked as Connect checks it. */
    private static ConnectorConfig configuration(Map<String, String> additions) {
        Map<String, String> connector = new HashMap<>(Map.of(
                "name", "mnist-connector",
                "connector.class", "io.debezium.connector.postgresql.PostgresConnector",
                "transforms", "unwrap,mnist",
                "transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState",
                "transforms.mnist.type", TRANSFORM));
        connector.putAll(additions);
        try (LoaderSwap swap = plugins.withClassLoader(plugins.delegatingLoader())) {
            return new ConnectorConfig(plugins, connector);
        }
    }

    private void start(Map<String, String> additions) {
        ConnectMetrics metrics = new ConnectMetrics("worker", new StandaloneConfig(worker), Time.SYSTEM, "cluster");
        try {
            ConnectorTaskId task = new ConnectorTaskId("mnist-connector", 0);
            chain.addAll(configuration(additions).transformationStages(plugins, task, metrics));
        } finally {
            metrics.stop();
        }
    }

    private SourceRecord send(SourceRecord record) {
        SourceRecord current = record;
        for (TransformationStage<SourceRecord> stage : chain) {
            if (current != null) {
                current = stage.apply(current);
            }
        }
        return current;
    }

    private static Struct row(Integer label) {
        return new Struct(ROW).put("id", Rows.ID).put("label", label == null ? null : label.shortValue())
                .put("pixels", Rows.pixels());
    }

    private static SourceRecord event(String operation, Struct before, Struct after) {
        Struct source = new Struct(SOURCE).put("table", "mnist_test").put("lsn", 99L);
        Struct envelope = new Struct(ENVELOPE).put("before", before).put("after", after).put("source", source)
                .put("op", operation).put("ts_ms", Rows.TIMESTAMP);
        return Rows.record(Rows.KEY, Rows.key(), ENVELOPE, envelope);
    }

    @Test
    void serviceLoadFindsItInItsFolderWithItsVersion() {
        assertTrue(version().matches("\\d+\\.\\d+\\.\\d+"), version());
        assertThrows(ClassNotFoundException.class, () -> Class.forName(TRANSFORM), "it is on the class path");
    }

    private static String version() {
        return plugins.transformations().stream().filter(plugin -> plugin.className().equals(TRANSFORM))
                .map(PluginDesc::version).findFirst().orElseThrow();
    }

    @Test
    void talksConfigurationTurnsAnInsertIntoCsv() {
        start(Map.of());
        SourceRecord after = send(event("c", null, row(7)));
        assertEquals("7", after.key());
        assertEquals(Rows.csv(), after.value());
        assertEquals("42", after.headers().lastWithName("__id").value());
    }

    @Test
    void snapshotsAndUpdatesAreDigitsToo() {
        start(Map.of());
        assertEquals("7", send(event("r", null, row(7))).key());
        assertEquals("1", send(event("u", row(7), row(1))).key());
    }

    @Test
    void headersOfTheUnwrappingStay() {
        start(Map.of("transforms.unwrap.add.headers", "op,source.lsn"));
        SourceRecord after = send(event("c", null, row(7)));
        assertEquals("c", after.headers().lastWithName("__op").value());
        assertEquals(99L, after.headers().lastWithName("__source_lsn").value());
        assertEquals("42", after.headers().lastWithName("__id").value());
    }

    @Test
    void deletesAndTombstonesAreLeftOutWhateverTheUnwrappingMakesOfThem() {
        for (String mode : List.of("drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone")) {
            chain.clear();
            start(Map.of("transforms.unwrap.delete.tombstone.handling.mode", mode));
            assertNull(send(event("d", row(7), null)), mode);
            assertNull(send(Rows.record(null)), mode);
        }
    }

    @Test
    void deletesPassWithTheirIdHoweverTheUnwrappingKeepsThem() {
        for (String mode : List.of("rewrite", "delete-to-tombstone")) {
            chain.clear();
            start(Map.of("transforms.unwrap.delete.tombstone.handling.mode", mode,
                    "transforms.mnist.deletes.handling", "pass"));
            SourceRecord after = send(event("d", row(7), null));
            assertNull(after.key(), mode);
            assertNull(after.value(), mode);
            assertEquals("42", after.headers().lastWithName("__id").value(), mode);
        }
    }

    @Test
    void unlabelledRowIsLeftOutUntilItIsLabelled() {
        start(Map.of());
        assertNull(send(event("c", null, row(null))));
        assertEquals("5", send(event("u", row(null), row(5))).key());
    }

    @Test
    void heartbeatPasses() {
        start(Map.of());
        Schema schema = SchemaBuilder.struct().name("io.debezium.connector.common.Heartbeat").version(1)
                .field("ts_ms", Schema.INT64_SCHEMA).build();
        SourceRecord beat = Rows.record(null, null, schema, new Struct(schema).put("ts_ms", 1L));
        assertSame(beat, send(beat));
    }

    @Test
    void withoutTheUnwrappingItSaysWhatIsMissing() {
        start(Map.of("transforms", "mnist"));
        DataException refusal = assertThrows(DataException.class, () -> send(event("c", null, row(7))));
        assertTrue(refusal.getMessage().contains("ExtractNewRecordState"), refusal.getMessage());
    }

    @Test
    void predicateAndPluginVersionAreNoOptionsOfIts() {
        start(Map.of(
                "predicates", "digits",
                "predicates.digits.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
                "predicates.digits.pattern", ".*mnist_.*",
                "transforms.mnist.predicate", "digits",
                "transforms.mnist.negate", "false",
                "transforms.mnist.plugin.version", "[" + version() + "]"));
        assertEquals("7", send(event("c", null, row(7))).key());
    }

    @Test
    void misspeltOptionStopsTheConnector() {
        ConnectException refusal = assertThrows(ConnectException.class,
                () -> start(Map.of("transforms.mnist.deletes.handing", "pass")));
        Throwable cause = refusal.getCause() == null ? refusal : refusal.getCause();
        assertEquals(ConfigException.class.getName(), cause.getClass().getName());
        assertTrue(cause.getMessage().contains("Did you mean deletes.handling?"), cause.getMessage());
    }

    @Test
    void badValueIsRefusedWhenTheConfigurationIsChecked() {
        ConfigException refusal = assertThrows(ConfigException.class,
                () -> configuration(Map.of("transforms.mnist.unlabelled.handling", "guess")));
        assertTrue(refusal.getMessage().contains("unlabelled.handling"), refusal.getMessage());
        assertTrue(refusal.getMessage().contains("drop, pass, fail"), refusal.getMessage());
    }
}
