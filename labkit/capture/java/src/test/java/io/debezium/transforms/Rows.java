package io.debezium.transforms;

import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.source.SourceRecord;

/** Records as ExtractNewRecordState makes them of a digit table, for the tests. */
final class Rows {

    static final String TOPIC = "tf.public.mnist_test";
    static final int PARTITION = 3;
    static final long TIMESTAMP = 1_700_000_000_123L;
    static final int ID = 42;

    static final Schema KEY = SchemaBuilder.struct().name(TOPIC + ".Key").field("id", Schema.INT32_SCHEMA).build();

    static final Schema VALUE = SchemaBuilder.struct().name(TOPIC + ".Value")
            .field("id", Schema.INT32_SCHEMA)
            .field("label", Schema.OPTIONAL_INT16_SCHEMA)
            .field("pixels", Schema.OPTIONAL_BYTES_SCHEMA)
            .build();

    private Rows() {
    }

    /** 784 pixels that go three times from 0 to 255 and begin again. */
    static byte[] pixels() {
        byte[] pixels = new byte[784];
        IntStream.range(0, pixels.length).forEach(i -> pixels[i] = (byte) i);
        return pixels;
    }

    /** The same 784 pixels as the talk's code reads them. */
    static String csv() {
        return IntStream.range(0, 784).map(i -> i % 256).mapToObj(String::valueOf).collect(Collectors.joining(","));
    }

    static Struct key() {
        return new Struct(KEY).put("id", ID);
    }

    static Struct row(Integer label, Object pixels) {
        Short number = label == null ? null : label.shortValue();
        return new Struct(VALUE).put("id", ID).put("label", number).put("pixels", pixels);
    }

    /** A row with these columns, whatever their types. */
    static Struct row(Schema labelSchema, Object label, Schema pixelsSchema, Object pixels) {
        Schema schema = SchemaBuilder.struct().field("id", Schema.INT32_SCHEMA)
                .field("label", labelSchema).field("pixels", pixelsSchema).build();
        return new Struct(schema).put("id", ID).put("label", label).put("pixels", pixels);
    }

    static SourceRecord record(Struct value) {
        return record(KEY, key(), value == null ? null : value.schema(), value);
    }

    static SourceRecord record(Schema keySchema, Object key, Schema valueSchema, Object value) {
        return new SourceRecord(Map.of("server", "tf"), Map.of("lsn", 7L), TOPIC, PARTITION, keySchema, key,
                valueSchema, value, TIMESTAMP);
    }
}
