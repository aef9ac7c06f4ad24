package io.debezium.transforms;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.source.SourceRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Everything that is no labelled digit: left out, passed or refused, as the options say. */
class NoDigitTest {

    private static final Map<String, String> PASS_DELETES = Map.of("deletes.handling", "pass");
    private static final Schema DELETED = SchemaBuilder.struct()
            .field("id", Schema.INT32_SCHEMA)
            .field("label", Schema.OPTIONAL_INT16_SCHEMA)
            .field("pixels", Schema.OPTIONAL_BYTES_SCHEMA)
            .field("__deleted", Schema.OPTIONAL_STRING_SCHEMA)
            .build();

    /** A row as ExtractNewRecordState rewrites it when told to keep deletes as rows. */
    private static SourceRecord rewritten(String deleted) {
        return Rows.record(new Struct(DELETED).put("id", Rows.ID).put("label", (short) 7).put("pixels", Rows.pixels())
                .put("__deleted", deleted));
    }

    private static void assertDeletePassed(SourceRecord after) {
        assertAll(
                () -> assertNull(after.key()),
                () -> assertNull(after.keySchema()),
                () -> assertNull(after.value()),
                () -> assertNull(after.valueSchema()),
                () -> assertEquals("42", after.headers().lastWithName("__id").value()),
                () -> assertEquals(Rows.TOPIC, after.topic()),
                () -> assertEquals(Rows.PARTITION, after.kafkaPartition()),
                () -> assertEquals(Rows.TIMESTAMP, after.timestamp()));
    }

    @Test
    void tombstoneIsDropped() {
        assertNull(Transforms.apply(Rows.record(null)));
    }

    @Test
    void tombstonePassesWhenTold() {
        SourceRecord before = Rows.record(null);
        before.headers().addString("__op", "d");
        SourceRecord after = Transforms.apply(PASS_DELETES, before);
        assertDeletePassed(after);
        assertEquals("d", after.headers().lastWithName("__op").value());
    }

    @Test
    void tombstoneWithASchemaIsATombstone() {
        assertNull(Transforms.apply(Rows.record(Rows.KEY, Rows.key(), Rows.VALUE, null)));
    }

    @Test
    void tombstoneWithoutKeyPassesWithoutId() {
        SourceRecord after = Transforms.apply(PASS_DELETES, Rows.record(null, null, null, null));
        assertNull(after.value());
        assertEquals(0, after.headers().size());
    }

    @Test
    void rewrittenDeleteIsDropped() {
        assertNull(Transforms.apply(rewritten("true")));
    }

    @Test
    void rewrittenDeletePassesWhenTold() {
        assertDeletePassed(Transforms.apply(PASS_DELETES, rewritten("true")));
    }

    @Test
    void rewrittenDeleteOfARowWithoutOldValuesIsADelete() {
        Struct value = new Struct(DELETED).put("id", Rows.ID).put("__deleted", "true");
        assertNull(Transforms.apply(Rows.record(value)));
        assertDeletePassed(Transforms.apply(PASS_DELETES, Rows.record(value)));
    }

    @Test
    void rewrittenInsertIsADigit() {
        assertEquals("7", Transforms.apply(rewritten("false")).key());
        assertEquals("7", Transforms.apply(rewritten(null)).key());
    }

    @Test
    void deletedMarkMayBeABoolean() {
        Schema schema = SchemaBuilder.struct().field("id", Schema.INT32_SCHEMA)
                .field("__deleted", Schema.BOOLEAN_SCHEMA).build();
        assertNull(Transforms.apply(Rows.record(new Struct(schema).put("id", Rows.ID).put("__deleted", true))));
    }

    @Test
    void unlabelledIsDropped() {
        assertNull(Transforms.apply(Rows.record(Rows.row(null, Rows.pixels()))));
    }

    @Test
    void unlabelledPassesWithoutKeyWhenTold() {
        SourceRecord after = Transforms.apply(Map.of("unlabelled.handling", "pass"),
                Rows.record(Rows.row(null, Rows.pixels())));
        assertNull(after.key());
        assertNull(after.keySchema());
        assertEquals(Rows.csv(), after.value());
        assertSame(Schema.STRING_SCHEMA, after.valueSchema());
        assertEquals("42", after.headers().lastWithName("__id").value());
    }

    @Test
    void unlabelledIsRefusedWhenTold() {
        assertRefused(Map.of("unlabelled.handling", "fail"), Rows.record(Rows.row(null, Rows.pixels())),
                "Row 42", "label is null");
    }

    @Test
    void unlabelledPassesOnlyWithPixels() {
        assertRefused(Map.of("unlabelled.handling", "pass"), Rows.record(Rows.row(null, null)), "pixels is null");
    }

    @Test
    void columnsDefaultIsNotALabel() {
        Schema defaultsToZero = SchemaBuilder.int16().optional().defaultValue((short) 0).build();
        Struct row = Rows.row(defaultsToZero, null, Schema.BYTES_SCHEMA, Rows.pixels());
        assertEquals((short) 0, row.get("label"), "Connect itself would say 0");
        assertNull(Transforms.apply(Rows.record(row)), "the row has no label");
    }

    static Stream<Arguments> malformed() {
        byte[] pixels = Rows.pixels();
        return Stream.of(
                arguments("no pixels", Rows.row(7, null), "column pixels is null"),
                arguments("empty image", Rows.row(7, new byte[0]), "0 pixels and not 784"),
                arguments("one pixel short", Rows.row(7, new byte[783]), "783 pixels and not 784"),
                arguments("one pixel more", Rows.row(7, new byte[785]), "785 pixels and not 784"),
                arguments("short buffer", Rows.row(7, ByteBuffer.wrap(pixels, 1, 783)), "783 pixels and not 784"),
                arguments("label below", Rows.row(-1, pixels), "label -1 is not one of 0 to 9"),
                arguments("label above", Rows.row(10, pixels), "label 10 is not one of 0 to 9"),
                arguments("label that an int would wrap to 4",
                        Rows.row(Schema.INT64_SCHEMA, (1L << 32) + 4, Schema.BYTES_SCHEMA, pixels), "label 4294967300"),
                arguments("text as label", Rows.row(Schema.STRING_SCHEMA, "7", Schema.BYTES_SCHEMA, pixels),
                        "label holds a String"),
                arguments("fraction as label", Rows.row(Schema.FLOAT64_SCHEMA, 7.0, Schema.BYTES_SCHEMA, pixels),
                        "label holds a Double"),
                arguments("truth as label", Rows.row(Schema.BOOLEAN_SCHEMA, true, Schema.BYTES_SCHEMA, pixels),
                        "label holds a Boolean"),
                arguments("decimal as label",
                        Rows.row(Decimal.schema(0), new BigDecimal("7"), Schema.BYTES_SCHEMA, pixels),
                        "label holds a BigDecimal"),
                arguments("bytes as label", Rows.row(Schema.BYTES_SCHEMA, pixels, Schema.BYTES_SCHEMA, pixels),
                        "label holds a byte[]"),
                arguments("text as pixels", Rows.row(Schema.INT16_SCHEMA, (short) 7, Schema.STRING_SCHEMA, "AAEC"),
                        "pixels holds a String and not bytes"),
                arguments("list as pixels",
                        Rows.row(Schema.INT16_SCHEMA, (short) 7, SchemaBuilder.array(Schema.INT16_SCHEMA).build(),
                                List.of((short) 1)),
                        "pixels holds a"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("malformed")
    void malformedRowIsRefusedByName(String what, Struct row, String reason) {
        assertRefused(Map.of(), Rows.record(row), "Row 42", Rows.TOPIC, reason);
    }

    @Test
    void rowWithoutIdInKeyIsNamedByItsValue() {
        assertRefused(Map.of(), Rows.record(null, null, Rows.VALUE, Rows.row(11, Rows.pixels())), "Row 42", "label 11");
    }

    @ParameterizedTest
    @ValueSource(strings = {"label_column", "pixels_column"})
    void unknownColumnIsRefusedAndTheKnownOnesNamed(String option) {
        assertRefused(Map.of(option, "colour"), Rows.record(Rows.row(7, Rows.pixels())),
                "no column colour", "id, label, pixels");
    }

    @Test
    void unknownIdColumnIsRefused() {
        assertRefused(Map.of("id_column", "nr"), Rows.record(Rows.row(7, Rows.pixels())), "column nr", "__id");
    }

    @Test
    void nullIdIsRefused() {
        Schema schema = SchemaBuilder.struct().field("id", Schema.OPTIONAL_INT32_SCHEMA)
                .field("label", Schema.INT16_SCHEMA).field("pixels", Schema.BYTES_SCHEMA).build();
        Struct row = new Struct(schema).put("label", (short) 7).put("pixels", Rows.pixels());
        assertRefused(Map.of(), Rows.record(null, null, schema, row), "A record", "column id");
    }

    @Test
    void unlabelledRowWithoutPixelsColumnIsNoRow() {
        Schema schema = SchemaBuilder.struct().field("label", Schema.OPTIONAL_INT16_SCHEMA).build();
        assertRefused(Map.of(), Rows.record(null, null, schema, new Struct(schema)), "no column pixels");
    }

    @Test
    void heartbeatPassesUntouched() {
        Schema schema = SchemaBuilder.struct().name("io.debezium.connector.common.Heartbeat")
                .field("ts_ms", Schema.INT64_SCHEMA).build();
        Schema keySchema = SchemaBuilder.struct().name("io.debezium.connector.common.ServerNameKey")
                .field("serverName", Schema.STRING_SCHEMA).build();
        SourceRecord before = new SourceRecord(Map.of(), Map.of(), "__debezium-heartbeat.tf", 0, keySchema,
                new Struct(keySchema).put("serverName", "tf"), schema, new Struct(schema).put("ts_ms", 1L));
        assertSame(before, Transforms.apply(before));
    }

    @Test
    void logicalMessageIsDropped() {
        Schema message = SchemaBuilder.struct().field("prefix", Schema.STRING_SCHEMA).build();
        Schema schema = SchemaBuilder.struct().name("io.debezium.connector.postgresql.MessageValue")
                .field("op", Schema.STRING_SCHEMA).field("message", message).build();
        Struct value = new Struct(schema).put("op", "m").put("message", new Struct(message).put("prefix", "heartbeat"));
        assertNull(Transforms.apply(Rows.record(null, null, schema, value)));
    }

    @Test
    void transactionMetadataIsRefused() {
        Schema schema = SchemaBuilder.struct().name("io.debezium.connector.common.TransactionMetadataValue")
                .field("status", Schema.STRING_SCHEMA).build();
        SourceRecord before = Rows.record(null, null, schema, new Struct(schema).put("status", "BEGIN"));
        assertRefused(Map.of(), before, "A record", "no column label", "only status");
    }

    @Test
    void envelopeIsRefusedWithAHint() {
        Schema schema = SchemaBuilder.struct().name(Rows.TOPIC + ".Envelope")
                .field("op", Schema.STRING_SCHEMA).build();
        SourceRecord before = Rows.record(null, null, schema, new Struct(schema).put("op", "c"));
        assertRefused(Map.of(), before, "ExtractNewRecordState must come before");
    }

    static Stream<Object> valuesWithoutColumns() {
        return Stream.of(Map.of("label", 7), "7", 7L, new byte[] {7}, List.of(7), true);
    }

    @ParameterizedTest
    @MethodSource("valuesWithoutColumns")
    void valueThatIsNoStructIsRefused(Object value) {
        assertRefused(Map.of(), Rows.record(null, null, null, value), "without columns", Rows.TOPIC);
    }

    /** Asserts that it is a DataException, as Connect's errors.tolerance handles it, and that it says all this. */
    private static void assertRefused(Map<String, String> options, SourceRecord record, String... says) {
        DataException refusal = assertThrows(DataException.class, () -> Transforms.apply(options, record));
        assertSame(DataException.class, refusal.getClass(), "not one of Connect's own complaints");
        for (String part : says) {
            assertTrue(refusal.getMessage().contains(part), () -> part + " in: " + refusal.getMessage());
        }
    }
}
