package io.debezium.transforms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Values;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.source.SourceRecord;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever record comes: a digit, a record that passes as it is, none, or a DataException; nothing else is thrown. */
class RandomRecordsTest {

    private static final int RECORDS = 3000;
    private static final List<String> NAMES =
            List.of("id", "label", "pixels", "op", "message", "__deleted", "before", "after");
    private static final List<String> SCHEMAS = List.of("row", "tf.public.mnist_test.Envelope",
            "io.debezium.connector.common.Heartbeat", "io.debezium.connector.postgresql.MessageValue");
    private static final List<Map<String, String>> OPTIONS = List.of(
            Map.of(),
            Map.of("deletes.handling", "pass", "unlabelled.handling", "pass"),
            Map.of("unlabelled.handling", "fail", "id_header", ""));

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void everyRecordIsTakenOrRefused(int seed) {
        Random random = new Random(seed);
        int digits = 0;
        int refused = 0;
        for (int number = 0; number < RECORDS; number++) {
            Map<String, String> options = OPTIONS.get(random.nextInt(OPTIONS.size()));
            SourceRecord before = random.nextInt(4) == 0 ? nearlyADigit(random) : anything(random);
            try {
                SourceRecord after = Transforms.apply(options, before);
                if (after != null && after != before && after.value() != null) {
                    digits++;
                    assertEquals(784, after.value().toString().split(",").length);
                    assertTrue(after.key() == null || after.key().toString().matches("[0-9]"), "key " + after.key());
                }
            } catch (DataException e) {
                refused++;
            }
        }
        assertTrue(digits > RECORDS / 100 && refused > RECORDS / 100, digits + " digits, " + refused + " refused");
    }

    private static SourceRecord nearlyADigit(Random random) {
        byte[] pixels = new byte[random.nextBoolean() ? 784 : random.nextInt(1000)];
        random.nextBytes(pixels);
        return Rows.record(Rows.row(random.nextInt(12) - 1, pixels));
    }

    private static SourceRecord anything(Random random) {
        Object key = value(random, 1);
        Object value = value(random, 2);
        return Rows.record(schema(key), key, schema(value), value);
    }

    private static Schema schema(Object value) {
        return value instanceof Struct struct ? struct.schema() : null;
    }

    private static Object value(Random random, int depth) {
        return switch (random.nextInt(depth > 0 ? 10 : 8)) {
            case 0 -> null;
            case 1 -> random.nextBoolean();
            case 2 -> (short) (random.nextInt(14) - 2);
            case 3 -> random.nextLong();
            case 4 -> random.nextDouble();
            case 5 -> random.nextBoolean() ? "true" : "m";
            case 6 -> ByteBuffer.wrap(new byte[random.nextBoolean() ? 784 : random.nextInt(9)]);
            case 7 -> new BigDecimal(random.nextInt(10));
            default -> struct(random, depth - 1);
        };
    }

    private static Struct struct(Random random, int depth) {
        SchemaBuilder schema = SchemaBuilder.struct().name(SCHEMAS.get(random.nextInt(SCHEMAS.size())));
        Map<String, Object> values = new HashMap<>();
        for (String name : NAMES) {
            if (random.nextBoolean()) {
                Object value = value(random, depth);
                values.put(name, value);
                schema.field(name, fieldSchema(value));
            }
        }
        Struct struct = new Struct(schema.build());
        values.forEach(struct::put);
        return struct;
    }

    private static Schema fieldSchema(Object value) {
        if (value == null) {
            return Schema.OPTIONAL_STRING_SCHEMA;
        }
        return value instanceof BigDecimal ? Decimal.schema(0) : Values.inferSchema(value);
    }
}
