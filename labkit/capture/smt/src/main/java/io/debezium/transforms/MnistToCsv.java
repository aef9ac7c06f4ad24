package io.debezium.transforms;

import java.nio.ByteBuffer;
import java.util.Comparator;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.connect.components.Versioned;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.header.Headers;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.util.SimpleConfig;

/**
 * Turns a row of a digit table into the record that the talk's TensorFlow code reads: the label as key, the pixels as
 * comma-separated values from 0 to 255. It stands behind Debezium's ExtractNewRecordState.
 *
 * <p>The class name, the two column options and the record of an inserted row are those of the example behind the talk.
 * New here: the row's id in a header, since the label says nothing of which row it was, and a documented answer to
 * records that are no labelled digit.
 */
public class MnistToCsv<R extends ConnectRecord<R>> implements Transformation<R>, Versioned {

    public static final String LABEL_COLUMN = "label_column";
    public static final String PIXELS_COLUMN = "pixels_column";
    public static final String ID_COLUMN = "id_column";
    public static final String ID_HEADER = "id_header";
    public static final String PIXELS_LENGTH = "pixels.length";
    public static final String DELETES_HANDLING = "deletes.handling";
    public static final String UNLABELLED_HANDLING = "unlabelled.handling";

    private static final String DROP = "drop";
    private static final String PASS = "pass";
    private static final String FAIL = "fail";
    private static final String DELETED_FIELD = "__deleted";
    private static final String HEARTBEAT_SCHEMA = "io.debezium.connector.common.Heartbeat";

    /** Keys that Connect itself puts among a transform's options. */
    private static final Set<String> CONNECTS_OWN = Set.of("type", "predicate", "negate");

    public static final ConfigDef CONFIG = new ConfigDef()
            .define(LABEL_COLUMN, Type.STRING, "label", new ConfigDef.NonEmptyString(), Importance.MEDIUM,
                    "Column that holds the label, a whole number from 0 to 9.")
            .define(PIXELS_COLUMN, Type.STRING, "pixels", new ConfigDef.NonEmptyString(), Importance.MEDIUM,
                    "Column that holds the pixels, one byte each.")
            .define(ID_COLUMN, Type.STRING, "id", new ConfigDef.NonEmptyString(), Importance.LOW,
                    "Column of the primary key.")
            .define(ID_HEADER, Type.STRING, "__id", Importance.LOW,
                    "Header that carries the primary key, since the record's key becomes the label. Empty: none.")
            .define(PIXELS_LENGTH, Type.INT, 784, ConfigDef.Range.atLeast(1), Importance.LOW,
                    "How many pixels a row has.")
            .define(DELETES_HANDLING, Type.STRING, DROP, ConfigDef.ValidString.in(DROP, PASS), Importance.MEDIUM,
                    "What becomes of deletes and tombstones: 'drop', or 'pass' as a record with neither key nor value.")
            .define(UNLABELLED_HANDLING, Type.STRING, DROP, ConfigDef.ValidString.in(DROP, PASS, FAIL),
                    Importance.MEDIUM,
                    "What becomes of a row without label: 'drop', 'pass' without a key, or 'fail'.");

    private String labelColumn;
    private String pixelsColumn;
    private String idColumn;
    private String idHeader;
    private int pixelsLength;
    private boolean passDeletes;
    private String unlabelled;

    @Override
    public void configure(Map<String, ?> options) {
        refuseUnknown(options.keySet());
        SimpleConfig config = new SimpleConfig(CONFIG, options);
        labelColumn = config.getString(LABEL_COLUMN);
        pixelsColumn = config.getString(PIXELS_COLUMN);
        idColumn = config.getString(ID_COLUMN);
        idHeader = config.getString(ID_HEADER);
        pixelsLength = config.getInt(PIXELS_LENGTH);
        passDeletes = PASS.equals(config.getString(DELETES_HANDLING));
        unlabelled = config.getString(UNLABELLED_HANDLING);
    }

    @Override
    public R apply(R record) {
        if (record.valueSchema() != null && HEARTBEAT_SCHEMA.equals(record.valueSchema().name())) {
            return record;
        }
        if (record.value() == null) {
            return deleted(record);
        }
        if (!(record.value() instanceof Struct row)) {
            throw problem(record, "the value is a " + record.value().getClass().getSimpleName() + " and not a row");
        }
        if (row.schema().field(DELETED_FIELD) != null && "true".equals(String.valueOf(row.get(DELETED_FIELD)))) {
            return deleted(record);
        }
        Object label = column(record, row, labelColumn);
        if (label == null) {
            return unlabelled(record, row);
        }
        return digit(record, row, label(record, label));
    }

    private R deleted(R record) {
        return passDeletes ? rewritten(record, null, null, null, null) : null;
    }

    private R unlabelled(R record, Struct row) {
        return switch (unlabelled) {
            case DROP -> null;
            case PASS -> digit(record, row, null);
            default -> throw problem(record, "column " + labelColumn + " is null");
        };
    }

    private R digit(R record, Struct row, String label) {
        String csv = csv(record, pixels(record, column(record, row, pixelsColumn)));
        return rewritten(record, label == null ? null : Schema.STRING_SCHEMA, label, Schema.STRING_SCHEMA, csv);
    }

    private R rewritten(R record, Schema keySchema, String key, Schema valueSchema, String value) {
        Headers headers = record.headers().duplicate();
        Object id = id(record);
        if (!idHeader.isEmpty() && id != null) {
            headers.addString(idHeader, id.toString());
        }
        return record.newRecord(record.topic(), record.kafkaPartition(), keySchema, key, valueSchema, value,
                record.timestamp(), headers);
    }

    private Object column(R record, Struct row, String name) {
        if (row.schema().field(name) == null) {
            throw problem(record, "there is no column " + name);
        }
        return row.get(name);
    }

    private String label(R record, Object label) {
        if (!(label instanceof Byte || label instanceof Short || label instanceof Integer || label instanceof Long)) {
            throw problem(record, "label " + label + " is no whole number");
        }
        long number = ((Number) label).longValue();
        if (number < 0 || number > 9) {
            throw problem(record, "label " + number + " is no digit");
        }
        return Long.toString(number);
    }

    private ByteBuffer pixels(R record, Object pixels) {
        ByteBuffer bytes;
        if (pixels instanceof byte[] array) {
            bytes = ByteBuffer.wrap(array);
        } else if (pixels instanceof ByteBuffer buffer) {
            bytes = buffer.duplicate();
        } else {
            throw problem(record, "column " + pixelsColumn + " holds no bytes");
        }
        if (bytes.remaining() != pixelsLength) {
            throw problem(record, bytes.remaining() + " pixels and not " + pixelsLength);
        }
        return bytes;
    }

    private String csv(R record, ByteBuffer pixels) {
        StringBuilder csv = new StringBuilder(4 * pixelsLength);
        while (pixels.hasRemaining()) {
            csv.append(Byte.toUnsignedInt(pixels.get())).append(',');
        }
        csv.setLength(csv.length() - 1);
        return csv.toString();
    }

    private Object id(R record) {
        for (Object part : new Object[] {record.key(), record.value()}) {
            if (part instanceof Struct struct && struct.schema().field(idColumn) != null) {
                return struct.get(idColumn);
            }
        }
        return null;
    }

    private DataException problem(R record, String reason) {
        return new DataException("Row " + id(record) + " of topic " + record.topic() + " is no digit: " + reason);
    }

    private static void refuseUnknown(Set<String> options) {
        Set<String> known = new TreeSet<>(CONFIG.names());
        for (String option : options) {
            if (!known.contains(option) && !CONNECTS_OWN.contains(option)) {
                String nearest = known.stream().min(Comparator.comparingInt(name -> distance(option, name))).get();
                throw new ConfigException("Unknown option " + option + " of MnistToCsv. Did you mean " + nearest + "?");
            }
        }
    }

    /** Levenshtein distance, by rows. */
    private static int distance(String left, String right) {
        String one = left.toLowerCase(Locale.ROOT);
        int[] above = new int[right.length() + 1];
        for (int j = 0; j < above.length; j++) {
            above[j] = j;
        }
        for (int i = 1; i <= one.length(); i++) {
            int[] row = new int[above.length];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int change = above[j - 1] + (one.charAt(i - 1) == right.charAt(j - 1) ? 0 : 1);
                row[j] = Math.min(change, 1 + Math.min(above[j], row[j - 1]));
            }
            above = row;
        }
        return above[right.length()];
    }

    @Override
    public ConfigDef config() {
        return CONFIG;
    }

    @Override
    public String version() {
        return "1.0.0";
    }

    @Override
    public void close() {
        // Nothing is held open.
    }
}
