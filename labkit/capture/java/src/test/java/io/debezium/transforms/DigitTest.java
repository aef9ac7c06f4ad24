package io.debezium.transforms;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.nio.ByteBuffer;
import java.util.Map;
import java.util.stream.Stream;

import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.StringConverter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Labelled digits: the record is the one the talk's code reads. */
class DigitTest {

    @Test
    void insertBecomesTheTalksRecord() {
        SourceRecord before = Rows.record(Rows.row(7, Rows.pixels()));

        SourceRecord after = Transforms.apply(before);

        assertEquals("7", after.key());
        assertSame(Schema.STRING_SCHEMA, after.keySchema());
        assertEquals(Rows.csv(), after.value());
        assertSame(Schema.STRING_SCHEMA, after.valueSchema());
        assertEquals(Rows.TOPIC, after.topic());
        assertEquals(Rows.PARTITION, after.kafkaPartition());
        assertEquals(Rows.TIMESTAMP, after.timestamp());
        assertEquals(before.sourcePartition(), after.sourcePartition());
        assertEquals(before.sourceOffset(), after.sourceOffset());
    }

    @Test
    void bytesInKafkaAreThoseOfTheText() {
        byte[] pixels = {0, 1, 9, 10, 99, 100, 127, -128, -127, -2, -1};
        SourceRecord after = Transforms.apply(Map.of("pixels.length", "11"), Rows.record(Rows.row(0, pixels)));
        try (StringConverter converter = new StringConverter()) {
            assertArrayEquals("0,1,9,10,99,100,127,128,129,254,255".getBytes(US_ASCII),
                    converter.fromConnectData(Rows.TOPIC, after.valueSchema(), after.value()));
            assertArrayEquals("0".getBytes(US_ASCII),
                    converter.fromConnectData(Rows.TOPIC, after.keySchema(), after.key()));
        }
    }

    @Test
    void onePixelHasNoComma() {
        SourceRecord after = Transforms.apply(Map.of("pixels.length", "1"), Rows.record(Rows.row(1, new byte[] {-1})));
        assertEquals("255", after.value());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
    void everyDigitIsALabel(int label) {
        assertEquals(String.valueOf(label), Transforms.apply(Rows.record(Rows.row(label, Rows.pixels()))).key());
    }

    static Stream<Arguments> wholeNumbers() {
        return Stream.of(
                arguments(Schema.INT8_SCHEMA, (byte) 4),
                arguments(Schema.INT16_SCHEMA, (short) 4),
                arguments(Schema.INT32_SCHEMA, 4),
                arguments(Schema.INT64_SCHEMA, 4L));
    }

    @ParameterizedTest
    @MethodSource("wholeNumbers")
    void labelMayBeAnyWholeNumberType(Schema schema, Object label) {
        Struct row = Rows.row(schema, label, Schema.BYTES_SCHEMA, Rows.pixels());
        assertEquals("4", Transforms.apply(Rows.record(row)).key());
    }

    @Test
    void pixelsMayBeABufferAndItStaysAsItWas() {
        byte[] longer = new byte[790];
        System.arraycopy(Rows.pixels(), 0, longer, 2, 784);
        ByteBuffer buffer = ByteBuffer.wrap(longer, 2, 784).asReadOnlyBuffer();

        SourceRecord after = Transforms.apply(Rows.record(Rows.row(7, buffer)));

        assertEquals(Rows.csv(), after.value());
        assertEquals(2, buffer.position());
        assertEquals(784, buffer.remaining());
    }

    @Test
    void columnsMayHaveOtherNames() {
        Schema schema = SchemaBuilder.struct().field("nr", Schema.INT64_SCHEMA)
                .field("digit", Schema.INT16_SCHEMA).field("image", Schema.BYTES_SCHEMA).build();
        Struct row = new Struct(schema).put("nr", 5_000_000_000L).put("digit", (short) 3).put("image", Rows.pixels());
        Map<String, String> names = Map.of("label_column", "digit", "pixels_column", "image", "id_column", "nr");

        SourceRecord after = Transforms.apply(names, Rows.record(null, null, schema, row));

        assertEquals("3", after.key());
        assertEquals("5000000000", after.headers().lastWithName("__id").value());
    }

    @Test
    void idTravelsInAHeaderBehindThoseThatWereThere() {
        SourceRecord before = Rows.record(Rows.row(7, Rows.pixels()));
        before.headers().addString("__op", "c").addLong("__source_lsn", 99L);

        SourceRecord after = Transforms.apply(before);

        assertEquals(3, after.headers().size());
        assertEquals("c", after.headers().lastWithName("__op").value());
        assertEquals(99L, after.headers().lastWithName("__source_lsn").value());
        Header id = after.headers().lastWithName("__id");
        assertEquals("42", id.value());
        assertEquals(Schema.STRING_SCHEMA, id.schema());
        assertEquals(2, before.headers().size(), "the record before is left alone");
    }

    @Test
    void idComesFromTheKeyBeforeTheValue() {
        SourceRecord before = Rows.record(Rows.KEY, new Struct(Rows.KEY).put("id", 1), Rows.VALUE,
                Rows.row(7, Rows.pixels()));
        assertEquals("1", Transforms.apply(before).headers().lastWithName("__id").value());
    }

    @Test
    void idComesFromTheValueWhereTheKeyIsNoStruct() {
        SourceRecord before = Rows.record(Schema.STRING_SCHEMA, "x", Rows.VALUE, Rows.row(7, Rows.pixels()));
        assertEquals("42", Transforms.apply(before).headers().lastWithName("__id").value());
    }

    @Test
    void headerMayHaveAnotherNameOrNone() {
        SourceRecord before = Rows.record(Rows.row(7, Rows.pixels()));
        assertEquals("42", Transforms.apply(Map.of("id_header", "row"), before).headers().lastWithName("row").value());
        assertEquals(0, Transforms.apply(Map.of("id_header", ""), before).headers().size());
    }

    @Test
    void withoutHeaderNoIdIsWanted() {
        Schema schema = SchemaBuilder.struct().field("label", Schema.INT16_SCHEMA)
                .field("pixels", Schema.BYTES_SCHEMA).build();
        Struct row = new Struct(schema).put("label", (short) 3).put("pixels", Rows.pixels());
        assertEquals("3", Transforms.apply(Map.of("id_header", ""), Rows.record(null, null, schema, row)).key());
    }

    @Test
    void recordWithoutPartitionAndTimestampStaysSo() {
        SourceRecord before = new SourceRecord(Map.of(), Map.of(), Rows.TOPIC, null, Rows.KEY, Rows.key(), Rows.VALUE,
                Rows.row(7, Rows.pixels()));
        SourceRecord after = Transforms.apply(before);
        assertNull(after.kafkaPartition());
        assertNull(after.timestamp());
    }

    @Test
    void sinkRecordKeepsItsOffset() {
        MnistToCsv<SinkRecord> transform = new MnistToCsv<>();
        transform.configure(Map.of());
        SinkRecord after = transform.apply(new SinkRecord(Rows.TOPIC, 0, Rows.KEY, Rows.key(), Rows.VALUE,
                Rows.row(7, Rows.pixels()), 1234L));
        assertEquals("7", after.key());
        assertEquals(1234L, after.kafkaOffset());
    }
}
