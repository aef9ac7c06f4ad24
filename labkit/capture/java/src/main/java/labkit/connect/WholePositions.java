package labkit.connect;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Source offsets from which Debezium goes on without losing a change.
 *
 * <p>Of one write-ahead log record of PostgreSQL several changes may come, all with its LSN: the rows that a COPY has put
 * on one page, or a delete and its tombstone. Debezium's offset says only which LSN was recorded last, and after a restart
 * it goes on behind that LSN. Where a worker was stopped between two changes with the same LSN, the second is lost (Debezium
 * issues 7531 and 7945).
 *
 * <p>Here each record carries the offset of the last change with another LSN before it, and how many records with its own
 * LSN there have been, in which transaction. After a restart Debezium brings all of these once more, and as many as were
 * recorded are left out: nothing is lost or repeated. Where another transaction's commit ends at just that LSN, Debezium
 * begins there and brings the whole transaction again, in which LSNs are in order: what lies before is left out, too. A heartbeat after a transaction's end carries its own offset, as nothing is halfway then;
 * so do the records of a snapshot, which is taken anew if it is interrupted.
 *
 * <p>A heartbeat is there to bring a new position: one that brings that of the record before is left out. Handed out, it
 * would be a transaction in Kafka for nothing, once a second in each idle lab. Once an hour it is: Kafka forgets a producer
 * that has written nothing for seven days, and its next transaction would fail.
 */
final class WholePositions {

    /** In an offset, beside what Debezium puts there: the LSN of the records that have begun. */
    static final String BEGUN_LSN = "labkit_begun_lsn";
    /** How many records with that LSN have been recorded. */
    static final String BEGUN_RECORDS = "labkit_begun_records";
    /** The transaction that they are of. */
    static final String BEGUN_TRANSACTION = "labkit_begun_transaction";

    static final long STILL_THERE_NANOS = TimeUnit.HOURS.toNanos(1);

    private static final String LSN = "lsn";
    private static final String TRANSACTION = "txId";
    private static final String SNAPSHOT = "snapshot";
    private static final String MESSAGE_TYPE = "messageType";
    private static final String BEGIN = "BEGIN";
    private static final String COMMIT = "COMMIT";
    private static final String MESSAGE = "MESSAGE";
    private static final String TRANSACTION_ID = "transaction_id";
    private static final String HEARTBEAT = "io.debezium.connector.common.Heartbeat";

    private final long recordedLsn;
    private final long recordedRecords;
    private final Long recordedTransaction;
    private Map<String, ?> whole;
    private Map<String, ?> newest;
    private Long begunLsn;
    private long begunRecords;
    private Long begunTransaction;
    private boolean resuming;
    private final LongSupplier nanoTime;
    private Map<String, ?> handedOut;
    private long handedOutNanos;

    /**
     * @param stored the offset that a task begins at, or null where it begins with nothing
     */
    WholePositions(Map<String, ?> stored) {
        this(stored, System::nanoTime);
    }

    WholePositions(Map<String, ?> stored, LongSupplier nanoTime) {
        this.nanoTime = nanoTime;
        Map<String, Object> own = stored == null ? new HashMap<>() : new HashMap<>(stored);
        Object lsn = own.remove(BEGUN_LSN);
        Object records = own.remove(BEGUN_RECORDS);
        recordedTransaction = number(own.remove(BEGUN_TRANSACTION));
        recordedLsn = lsn == null ? 0 : ((Number) lsn).longValue();
        recordedRecords = records == null ? 0 : ((Number) records).longValue();
        resuming = recordedRecords > 0;
        whole = own;
        newest = own;
    }

    /**
     * @param records what Debezium hands out, in its order
     * @return the same with other offsets, without those that were recorded before a restart, and without heartbeats that
     *     bring no new one
     */
    List<SourceRecord> of(List<SourceRecord> records) {
        List<SourceRecord> left = new ArrayList<>(records.size());
        for (SourceRecord record : records) {
            SourceRecord one = of(record);
            if (one != null && !(isHeartbeat(one) && isKnown(one.sourceOffset()))) {
                handedOut = one.sourceOffset();
                handedOutNanos = nanoTime.getAsLong();
                left.add(one);
            }
        }
        return left;
    }

    private boolean isKnown(Map<String, ?> offset) {
        return offset.equals(handedOut) && nanoTime.getAsLong() - handedOutNanos < STILL_THERE_NANOS;
    }

    private static boolean isHeartbeat(SourceRecord record) {
        return record.valueSchema() != null && HEARTBEAT.equals(record.valueSchema().name());
    }

    private SourceRecord of(SourceRecord record) {
        Map<String, ?> offset = record.sourceOffset();
        boolean heartbeat = isHeartbeat(record);
        if (offset.containsKey(SNAPSHOT) || !(offset.get(LSN) instanceof Number number)) {
            return whole(record);
        }
        long lsn = number.longValue();
        if (heartbeat && resuming && !isAtRecorded()) {
            // Debezium still looks for the place: what was recorded must not be forgotten.
            return with(record, recordedLsn, recordedRecords, recordedTransaction);
        }
        Object type = offset.get(MESSAGE_TYPE);
        // A transaction's END record, where such are asked for, comes after the heartbeat at its end.
        if (heartbeat && ends(type) && !offset.containsKey(TRANSACTION_ID)) {
            return whole(COMMIT.equals(type) ? atCommit(record) : record);
        }
        if (heartbeat && BEGIN.equals(type)) {
            // Of a transaction that has begun nothing is told yet.
            return begunLsn == null ? carrying(record, whole) : withBegun(record);
        }
        if (begunLsn == null || begunLsn != lsn) {
            whole = newest;
            begunLsn = lsn;
            begunRecords = 0;
            begunTransaction = number(offset.get(TRANSACTION));
        }
        newest = offset;
        if (!heartbeat) {
            begunRecords++;
            if (resuming && isRecorded(lsn)) {
                return null;
            }
            resuming = false;
        }
        return withBegun(record);
    }

    /** Whether the change that has just come was recorded before the restart. */
    private boolean isRecorded(long lsn) {
        if (recordedTransaction != null && !recordedTransaction.equals(begunTransaction)) {
            return false;
        }
        return lsn == recordedLsn ? begunRecords <= recordedRecords : recordedTransaction != null && lsn < recordedLsn;
    }

    private boolean isAtRecorded() {
        return begunLsn != null && begunLsn == recordedLsn && begunRecords >= recordedRecords;
    }

    private static Long number(Object value) {
        return value instanceof Number number ? (Long) number.longValue() : null;
    }

    private SourceRecord whole(SourceRecord record) {
        whole = record.sourceOffset();
        newest = whole;
        begunLsn = null;
        resuming = false;
        return carrying(record, whole);
    }

    /** Before the first change after a snapshot there is no type. */
    private static boolean ends(Object type) {
        return type == null || COMMIT.equals(type) || MESSAGE.equals(type);
    }

    /**
     * The same position, from which Debezium goes on with the first change that it receives.
     *
     * <p>An open transaction may have a change at the very place in the log where another one's commit ends. At a position
     * of type COMMIT Debezium would take that for the last change recorded, and go on behind it.
     */
    private static SourceRecord atCommit(SourceRecord record) {
        Map<String, Object> offset = new HashMap<>(record.sourceOffset());
        offset.put(MESSAGE_TYPE, MESSAGE);
        return carrying(record, offset);
    }

    private SourceRecord withBegun(SourceRecord record) {
        return with(record, begunLsn, begunRecords, begunTransaction);
    }

    private SourceRecord with(SourceRecord record, long lsn, long records, Long transaction) {
        Map<String, Object> offset = new HashMap<>(whole);
        offset.put(BEGUN_LSN, lsn);
        offset.put(BEGUN_RECORDS, records);
        if (transaction != null) {
            offset.put(BEGUN_TRANSACTION, transaction);
        }
        return carrying(record, offset);
    }

    private static SourceRecord carrying(SourceRecord record, Map<String, ?> offset) {
        return new Once(record.sourcePartition(), offset, record.topic(), record.kafkaPartition(),
                record.keySchema(), record.key(), record.valueSchema(), record.value(), record.timestamp(),
                record.headers());
    }

    /**
     * A record that is equal to no other. Kafka Connect keeps those that are on their way in a map, by a hash of all that
     * is in them, pixels and headers, too.
     */
    private static final class Once extends SourceRecord {

        Once(Map<String, ?> partition, Map<String, ?> offset, String topic, Integer kafkaPartition, Schema keySchema,
                Object key, Schema valueSchema, Object value, Long timestamp, Iterable<Header> headers) {
            super(partition, offset, topic, kafkaPartition, keySchema, key, valueSchema, value, timestamp, headers);
        }

        @Override
        public boolean equals(Object other) {
            return this == other;
        }

        @Override
        public int hashCode() {
            return System.identityHashCode(this);
        }
    }
}
