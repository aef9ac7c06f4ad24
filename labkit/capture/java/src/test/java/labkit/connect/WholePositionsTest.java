package labkit.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.source.SourceRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Wherever a task is stopped, the next one brings each change that is missing, and no other. */
class WholePositionsTest {

    private static final Schema HEARTBEAT =
            SchemaBuilder.struct().name("io.debezium.connector.common.Heartbeat").build();

    /** A change as Debezium hands it out: its offset tells its LSN and that of the last commit. */
    private static SourceRecord change(long lsn, long commit, String value) {
        return record(lsn, commit, "INSERT", Schema.STRING_SCHEMA, value);
    }

    private static SourceRecord heartbeat(long lsn, long commit, String type) {
        return record(lsn, commit, type, HEARTBEAT, null);
    }

    private static SourceRecord record(long lsn, long commit, String type, Schema schema, Object value) {
        Map<String, Object> offset = Map.of("lsn", lsn, "lsn_proc", lsn, "lsn_commit", commit, "messageType", type);
        return new SourceRecord(Map.of("server", "lab"), offset, "topic", 0, null, null, schema, value);
    }

    private static Map<String, ?> lastOffset(List<SourceRecord> records) {
        return records.get(records.size() - 1).sourceOffset();
    }

    private static List<Object> values(List<SourceRecord> records) {
        return records.stream().map(SourceRecord::value).toList();
    }

    @Test
    void aHeartbeatIsHandedOutWhereItBringsANewPosition() {
        WholePositions positions = new WholePositions(null);
        assertEquals(1, positions.of(List.of(heartbeat(20, 20, "COMMIT"))).size());
        assertEquals(List.of(), positions.of(List.of(heartbeat(20, 20, "COMMIT"), heartbeat(20, 20, "COMMIT"))));
        assertEquals(List.of("a", "a"), values(positions.of(List.of(change(25, 20, "a"), change(25, 20, "a")))));
        assertEquals(List.of(), positions.of(List.of(heartbeat(25, 20, "INSERT"))));
        assertEquals(30L, lastOffset(positions.of(List.of(heartbeat(30, 30, "COMMIT")))).get("lsn"));
    }

    @Test
    void aHeartbeatThatBringsNothingNewIsHandedOutOnceAnHour() {
        AtomicLong now = new AtomicLong();
        WholePositions positions = new WholePositions(null, now::get);
        SourceRecord same = heartbeat(20, 20, "COMMIT");
        assertEquals(1, positions.of(List.of(same)).size());
        now.set(WholePositions.STILL_THERE_NANOS - 1);
        assertEquals(0, positions.of(List.of(same)).size());
        now.set(WholePositions.STILL_THERE_NANOS);
        assertEquals(1, positions.of(List.of(same)).size());
        assertEquals(0, positions.of(List.of(same)).size());
    }

    @Test
    void changesWithOneLsnAreBroughtAgainAndThoseThatWereRecordedLeftOut() {
        List<SourceRecord> all = List.of(
                change(10, 5, "a"), change(20, 5, "b"), change(20, 5, "c"), change(20, 5, "d"), change(30, 5, "e"));
        Map<String, ?> stored = lastOffset(new WholePositions(null).of(all.subList(0, 3)));
        assertEquals(10L, stored.get("lsn"));
        assertEquals(20L, stored.get(WholePositions.BEGUN_LSN));
        assertEquals(2L, stored.get(WholePositions.BEGUN_RECORDS));

        // Debezium goes on behind LSN 10.
        List<SourceRecord> left = new WholePositions(stored).of(all.subList(1, 5));
        assertEquals(List.of("d", "e"), values(left));
        assertEquals(20L, lastOffset(left).get("lsn"));
    }

    @Test
    void aTaskThatIsStoppedAgainWhileItResumesKeepsTheCount() {
        List<SourceRecord> same = List.of(change(20, 5, "a"), change(20, 5, "b"), change(20, 5, "c"));
        Map<String, ?> stored = lastOffset(new WholePositions(null).of(same.subList(0, 1)));
        Map<String, ?> again = lastOffset(new WholePositions(stored).of(same.subList(0, 2)));
        assertEquals(2L, again.get(WholePositions.BEGUN_RECORDS));
        assertEquals(List.of("c"), values(new WholePositions(again).of(same)));
    }

    @Test
    void aHeartbeatAfterACommitIsAWholePosition() {
        WholePositions positions = new WholePositions(null);
        SourceRecord after = heartbeat(25, 25, "COMMIT");
        List<SourceRecord> found = positions.of(List.of(change(20, 5, "a"), heartbeat(20, 5, "INSERT"), after));
        assertEquals(1L, found.get(0).sourceOffset().get(WholePositions.BEGUN_RECORDS));
        assertEquals(25L, found.get(1).sourceOffset().get("lsn"));
        assertNull(found.get(1).sourceOffset().get(WholePositions.BEGUN_LSN));
        // Of type MESSAGE: at a COMMIT Debezium would take a change at this very LSN for recorded.
        assertEquals("MESSAGE", found.get(1).sourceOffset().get("messageType"));

        // The next transaction's first change may have the LSN of this commit's end.
        Map<String, ?> next = lastOffset(positions.of(List.of(heartbeat(25, 25, "BEGIN"), change(25, 25, "b"))));
        assertEquals("MESSAGE", next.get("messageType"));
        assertEquals(List.of("c"), values(new WholePositions(next).of(List.of(change(25, 25, "b"), change(25, 25, "c")))));
    }

    @Test
    void aHeartbeatOfATransactionThatHasBegunTellsOfTheOneBefore() {
        WholePositions positions = new WholePositions(null);
        Map<String, ?> stored = lastOffset(positions.of(List.of(change(20, 5, "a"), heartbeat(40, 25, "BEGIN"))));
        assertEquals(20L, stored.get(WholePositions.BEGUN_LSN));
        assertEquals(20L, lastOffset(positions.of(List.of(change(40, 25, "b")))).get("lsn"));
    }

    @Test
    void aHeartbeatBeforeATransactionsEndRecordIsNotAWholePosition() {
        Map<String, Object> offset =
                Map.of("lsn", 25L, "lsn_commit", 25L, "messageType", "COMMIT", "transaction_id", "7:25");
        SourceRecord between = new SourceRecord(Map.of("server", "lab"), offset, "topic", 0, null, null, HEARTBEAT, null);
        Map<String, ?> stored = lastOffset(new WholePositions(null).of(List.of(change(20, 5, "a"), between)));
        assertEquals(20L, stored.get("lsn"));
    }

    @Test
    void aHeartbeatOfAnotherTransactionWhileItResumesForgetsNothing() {
        // Two transactions at once: the one whose change is at 120 ended first, at 138.
        WholePositions positions = new WholePositions(null);
        Map<String, ?> stored = lastOffset(positions.of(List.of(change(120, 50, "a"), change(110, 138, "b"))));
        List<SourceRecord> again = List.of(heartbeat(138, 138, "COMMIT"), change(110, 138, "b"), change(150, 140, "c"));
        assertEquals(List.of("c"), values(new WholePositions(stored).of(again)).stream().filter(v -> v != null).toList());
    }

    @Test
    void aTransactionThatIsBroughtFromItsBeginningIsNotRepeated() {
        // Two at once: of the second one a change is at 110, and the next at 138, where the first one's commit ended.
        List<SourceRecord> second = List.of(inTransaction(7, 110, "a"), inTransaction(7, 138, "b"));
        Map<String, ?> stored = lastOffset(new WholePositions(null).of(second));
        assertEquals(110L, stored.get("lsn"));
        assertEquals(7L, stored.get(WholePositions.BEGUN_TRANSACTION));

        List<SourceRecord> again = new ArrayList<>(second);
        again.add(1, heartbeat(110, 138, "INSERT"));
        again.add(inTransaction(7, 150, "c"));
        again.add(inTransaction(8, 120, "d"));
        List<SourceRecord> left = new WholePositions(stored).of(again);
        assertEquals(List.of("c", "d"), values(left).stream().filter(value -> value != null).toList());
        // The heartbeat in between told of the place that was recorded.
        assertEquals(stored, left.get(0).sourceOffset());
    }

    @Test
    void aChangeOfAnotherTransactionIsNoRecordedOne() {
        Map<String, ?> stored = lastOffset(new WholePositions(null).of(List.of(inTransaction(7, 138, "a"))));
        List<SourceRecord> others = List.of(inTransaction(8, 120, "b"), inTransaction(9, 138, "c"));
        assertEquals(List.of("b", "c"), values(new WholePositions(stored).of(others)));
    }

    private static SourceRecord inTransaction(long transaction, long lsn, String value) {
        Map<String, Object> offset = Map.of("lsn", lsn, "lsn_proc", lsn, "lsn_commit", 138L, "messageType", "INSERT",
                "txId", transaction);
        return new SourceRecord(Map.of("server", "lab"), offset, "topic", 0, null, null, Schema.STRING_SCHEMA, value);
    }

    @Test
    void recordsOfASnapshotStayAsTheyAre() {
        SourceRecord snapshot = new SourceRecord(Map.of("server", "lab"), Map.of("lsn", 7L, "snapshot", "INITIAL"),
                "topic", 0, null, null, Schema.STRING_SCHEMA, "a");
        WholePositions positions = new WholePositions(null);
        List<SourceRecord> found = positions.of(List.of(snapshot, snapshot));
        assertEquals(List.of(snapshot, snapshot).toString(), found.toString());
        assertNotEquals(found.get(0), found.get(1), "each is on its way for itself");
        Map<String, ?> first = lastOffset(positions.of(List.of(change(9, 8, "b"))));
        assertEquals("INITIAL", first.get("snapshot"));
        assertEquals(9L, first.get(WholePositions.BEGUN_LSN));
    }

    @Test
    void aHeartbeatAfterASnapshotIsAWholePosition() {
        SourceRecord after = new SourceRecord(Map.of("server", "lab"), Map.of("lsn", 7L), "topic", 0, null, null,
                HEARTBEAT, null);
        assertEquals(List.of(after).toString(), new WholePositions(null).of(List.of(after)).toString());
    }

    @Test
    void aHeartbeatWhileDebeziumLooksForItsPlaceForgetsNothing() {
        WholePositions positions = new WholePositions(null);
        SourceRecord end = heartbeat(15, 15, "COMMIT");
        Map<String, ?> stored = lastOffset(positions.of(List.of(end, change(20, 15, "a"), change(20, 15, "b"))));
        assertEquals(stored, lastOffset(new WholePositions(stored).of(List.of(end))));
        assertEquals(stored, lastOffset(new WholePositions(stored).of(List.of(change(20, 15, "a"), end))));
    }

    @Test
    void nothingIsLeftOutWhereAnotherChangeComesFirst() {
        Map<String, ?> stored = lastOffset(new WholePositions(null).of(List.of(change(20, 5, "a"))));
        List<SourceRecord> others = List.of(change(30, 25, "b"), change(20, 25, "c"));
        assertEquals(List.of("b", "c"), values(new WholePositions(stored).of(others)));
    }

    @Test
    void anOffsetOfDebeziumsOwnIsTakenAsItIs() {
        List<SourceRecord> records = List.of(change(20, 5, "a"));
        assertEquals(List.of("a"), values(new WholePositions(Map.of("lsn", 20L, "lsn_commit", 5L)).of(records)));
        assertNull(change(20, 5, "a").sourceOffset().get(WholePositions.BEGUN_LSN));
    }

    /** A log of changes, and a Debezium that goes on behind the LSN in the stored offset; stopped at random places. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5})
    void whereverItIsStoppedEachChangeIsRecordedOnce(int seed) {
        Random random = new Random(seed);
        List<SourceRecord> log = new ArrayList<>();
        long lsn = 100;
        long commit = 50;
        for (int transaction = 0; transaction < 40; transaction++) {
            for (int group = random.nextInt(4); group >= 0; group--) {
                lsn += 10;
                for (int row = random.nextInt(5); row >= 0; row--) {
                    log.add(change(lsn, commit, lsn + "/" + row));
                    if (random.nextInt(6) == 0) {
                        log.add(heartbeat(lsn, commit, "INSERT"));
                    }
                }
            }
            commit = lsn + 10;
            if (random.nextInt(3) == 0) {
                log.add(heartbeat(commit, commit, "COMMIT"));
            }
        }
        List<Object> recorded = new ArrayList<>();
        Map<String, ?> stored = null;
        while (true) {
            int from = stored == null ? 0 : goesOnAt(log, stored);
            int until = Math.min(log.size(), from + 1 + random.nextInt(20));
            List<SourceRecord> batch = new WholePositions(stored).of(log.subList(from, until));
            recorded.addAll(values(batch).stream().filter(value -> value != null).toList());
            if (!batch.isEmpty()) {
                stored = new HashMap<>(lastOffset(batch));
            }
            if (until == log.size()) {
                break;
            }
        }
        assertEquals(values(log).stream().filter(value -> value != null).toList(), recorded);
    }

    /** Behind all changes with the stored LSN; but a change may have the LSN at which the commit before it ended. */
    private static int goesOnAt(List<SourceRecord> log, Map<String, ?> stored) {
        long reached = stored.get("lsn") instanceof Long lsn ? lsn : 0;
        boolean atCommit = "MESSAGE".equals(stored.get("messageType"));
        int last = -1;
        for (int place = 0; place < log.size(); place++) {
            Map<String, ?> offset = log.get(place).sourceOffset();
            long lsn = (long) offset.get("lsn");
            if (lsn < reached || lsn == reached && (!atCommit || "COMMIT".equals(offset.get("messageType")))) {
                last = place;
            }
        }
        return last + 1;
    }
}
