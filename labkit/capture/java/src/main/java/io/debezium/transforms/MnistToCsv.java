package io.debezium.transforms;

import java.nio.ByteBuffer;
import java.util.Map;
import java.util.stream.Collectors;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.components.Versioned;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.header.Headers;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Turns a row of a digit table into the record that the talk's TensorFlow code reads: the label as key, the pixels as
 * comma-separated numbers from 0 to 255. It stands behind Debezium's ExtractNewRecordState, which makes rows of change
 * events.
 *
 * <p>The class name, the two column options and the record of an inserted row are those of the example behind the talk.
 * New here: the row's id in a header, since a label does not say which row it was, and a documented answer to
 * everything that is no labelled digit. A malformed row is refused with a {@link DataException} that names it; the
 * connector's {@code errors.tolerance} decides what follows.
 */
public class MnistToCsv<R extends ConnectRecord<R>> implements Transformation<R>, Versioned {

    private static final String VERSION = "1.0.0";
    private static final String DELETED_FIELD = "__deleted";
    private static final String HEARTBEAT_SCHEMA = "io.debezium.connector.common.Heartbeat";
    private static final String MESSAGE_OPERATION = "m";
    private static final String ENVELOPE_SUFFIX = ".Envelope";

    private String labelColumn;
    private String pixelsColumn;
    private String idColumn;
    private String idHeader;
    private int pixelsLength;
    private boolean passDeletes;
    private String unlabelledHandling;

    @Override
    public void configure(Map<String, ?> options) {
        MnistToCsvConfig config = new MnistToCsvConfig(options);
        labelColumn = config.getString(MnistToCsvConfig.LABEL_COLUMN);
        pixelsColumn = config.getString(MnistToCsvConfig.PIXELS_COLUMN);
        idColumn = config.getString(MnistToCsvConfig.ID_COLUMN);
        idHeader = config.getString(MnistToCsvConfig.ID_HEADER);
        pixelsLength = config.getInt(MnistToCsvConfig.PIXELS_LENGTH);
        passDeletes = MnistToCsvConfig.PASS.equals(config.getString(MnistToCsvConfig.DELETES_HANDLING));
        unlabelledHandling = config.getString(MnistToCsvConfig.UNLABELLED_HANDLING);
    }

    /**
     * @param record a row, a deleted row, or a heartbeat of Debezium, which passes untouched
     * @return the record to write, or null to leave it out
     * @throws DataException the record is none of these, or the row is malformed
     */
    @Override
    public R apply(R record) {
        if (record.valueSchema() != null && HEARTBEAT_SCHEMA.equals(record.valueSchema().name())) {
            return record;
        }
        if (record.value() == null) {
            return deleted(record);
        }
        if (record.value() instanceof Struct message && isLogicalMessage(message)) {
            return null;
        }
        if (!(record.value() instanceof Struct row)) {
            throw refusal(record, "its value is a " + record.value().getClass().getSimpleName() + " without columns");
        }
        if (row.schema().field(DELETED_FIELD) != null
                && "true".equals(String.valueOf(row.getWithoutDefault(DELETED_FIELD)))) {
            return deleted(record);
        }
        Object label = column(record, row, labelColumn);
        Object pixels = column(record, row, pixelsColumn);
        if (label == null) {
            return unlabelled(record, pixels);
        }
        return digit(record, Schema.STRING_SCHEMA, labelText(record, label), pixels);
    }

    /**
     * Whether a value is a message that somebody put into the write-ahead log with pg_logical_emit_message. Debezium
     * captures those beside the tables; they are no rows.
     */
    private static boolean isLogicalMessage(Struct value) {
        return value.schema().field("message") != null && value.schema().field("op") != null
                && MESSAGE_OPERATION.equals(value.get("op"));
    }

    private R deleted(R record) {
        return passDeletes ? rewritten(record, null, null, null, null) : null;
    }

    private R unlabelled(R record, Object pixels) {
        return switch (unlabelledHandling) {
            case MnistToCsvConfig.DROP -> null;
            case MnistToCsvConfig.PASS -> digit(record, null, null, pixels);
            default -> throw refusal(record, "column " + labelColumn + " is null");
        };
    }

    private R digit(R record, Schema keySchema, String key, Object pixels) {
        String csv = csv(pixelBytes(record, pixels));
        if (!idHeader.isEmpty() && id(record) == null) {
            throw refusal(record, "column " + idColumn + ", wanted for header " + idHeader + ", is missing or null");
        }
        return rewritten(record, keySchema, key, Schema.STRING_SCHEMA, csv);
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
        if (row.schema().field(name) != null) {
            // Struct.get would put a column's default in place of a null: a label where the row has none.
            return row.getWithoutDefault(name);
        }
        if (row.schema().name() != null && row.schema().name().endsWith(ENVELOPE_SUFFIX)) {
            throw refusal(record, "it is still in Debezium's envelope; ExtractNewRecordState must come before");
        }
        String found = row.schema().fields().stream().map(Field::name).collect(Collectors.joining(", "));
        throw refusal(record, "it has no column " + name + ", only " + found);
    }

    private String labelText(R record, Object label) {
        if (!(label instanceof Byte || label instanceof Short || label instanceof Integer || label instanceof Long)) {
            throw refusal(record, "column " + labelColumn + " holds a " + label.getClass().getSimpleName()
                    + " and not a whole number");
        }
        long number = ((Number) label).longValue();
        if (number < 0 || number > 9) {
            throw refusal(record, "label " + number + " is not one of 0 to 9");
        }
        return Long.toString(number);
    }

    private ByteBuffer pixelBytes(R record, Object pixels) {
        ByteBuffer bytes;
        if (pixels instanceof byte[] array) {
            bytes = ByteBuffer.wrap(array);
        } else if (pixels instanceof ByteBuffer buffer) {
            // Reading moves a buffer's position; the record's own must stay where it is.
            bytes = buffer.duplicate();
        } else if (pixels == null) {
            throw refusal(record, "column " + pixelsColumn + " is null");
        } else {
            throw refusal(record, "column " + pixelsColumn + " holds a " + pixels.getClass().getSimpleName()
                    + " and not bytes");
        }
        if (bytes.remaining() != pixelsLength) {
            throw refusal(record, "it has " + bytes.remaining() + " pixels and not " + pixelsLength);
        }
        return bytes;
    }

    private static String csv(ByteBuffer pixels) {
        // At most three digits and a comma a pixel.
        StringBuilder csv = new StringBuilder(4 * pixels.remaining());
        while (pixels.hasRemaining()) {
            csv.append(Byte.toUnsignedInt(pixels.get())).append(',');
        }
        csv.setLength(csv.length() - 1);
        return csv.toString();
    }

    /** The row's primary key: from the record's key, else from its value; null where neither holds it. */
    private Object id(R record) {
        Object id = id(record.key());
        return id == null ? id(record.value()) : id;
    }

    private Object id(Object part) {
        boolean holdsIt = part instanceof Struct struct && struct.schema().field(idColumn) != null;
        return holdsIt ? ((Struct) part).getWithoutDefault(idColumn) : null;
    }

    private DataException refusal(R record, String reason) {
        Object id = id(record);
        return new DataException((id == null ? "A record" : "Row " + id) + " of topic " + record.topic()
                + " is no digit: " + reason);
    }

    @Override
    public ConfigDef config() {
        return MnistToCsvConfig.DEFINITION;
    }

    @Override
    public String version() {
        return VERSION;
    }

    @Override
    public void close() {
        // Nothing is held open.
    }
}
