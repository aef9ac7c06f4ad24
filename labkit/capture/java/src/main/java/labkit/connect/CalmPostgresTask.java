package labkit.connect;

import java.sql.SQLException;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

import io.debezium.DebeziumException;
import io.debezium.bean.StandardBeanNames;
import io.debezium.config.CommonConnectorConfig;
import io.debezium.config.Configuration;
import io.debezium.connector.postgresql.PostgresConnector;
import io.debezium.connector.postgresql.PostgresConnectorConfig;
import io.debezium.connector.postgresql.PostgresConnectorTask;
import io.debezium.connector.postgresql.PostgresOffsetContext;
import io.debezium.connector.postgresql.PostgresPartition;
import io.debezium.connector.postgresql.connection.PostgresConnection;
import io.debezium.function.LogPositionValidator;
import io.debezium.pipeline.ChangeEventSourceCoordinator;
import io.debezium.pipeline.PlainStreaming;
import io.debezium.pipeline.spi.OffsetContext;
import io.debezium.pipeline.spi.Partition;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Debezium's task, which loses no change at a restart (see {@link WholePositions}), and rests while nothing changes. With a
 * poll every few milliseconds Debezium's own is busy then, in two ways.
 *
 * <p>With exactly-once source support Kafka Connect says "committed" after every poll, also after one that brought
 * nothing. Each time Debezium's task reads the offsets topic to its end, so as to confirm to the replication slot what
 * is safely there. Here it does so at most once a second. Nothing is confirmed that Debezium would not confirm, it is
 * only later: PostgreSQL keeps a second's or two more of its log.
 *
 * <p>And of each wait for the next event Debezium's queue spends the last millisecond awake, as it counts what is left
 * of it in whole ones. Here it is asked only once there is an event, or half a second later.
 */
public class CalmPostgresTask extends PostgresConnectorTask {

    private static final long CONFIRM_NANOS = TimeUnit.SECONDS.toNanos(1);
    /** Debezium's queue is asked as often in any case: it also tells what went wrong. */
    private static final long WAIT_MS = 500;

    // Debezium Server starts and polls a task on different threads.
    private volatile WakingQueue<?> queue;
    private volatile boolean mayConfirm;
    private volatile long confirmedNanos;
    private volatile WholePositions positions;

    @Override
    public ChangeEventSourceCoordinator<PostgresPartition, PostgresOffsetContext> start(Configuration config) {
        String key = UUID.randomUUID().toString();
        Configuration ours = config.edit()
                // Debezium chooses its queries for the snapshot by this very name.
                .with(CommonConnectorConfig.CONNECTOR_CLASS, PostgresConnector.class.getName())
                .with(CommonConnectorConfig.QUEUE_PROVIDER_TYPE, WakingQueue.NAME)
                .with(WakingQueue.KEY, key)
                .build();
        confirmedNanos = System.nanoTime() - CONFIRM_NANOS;
        PostgresPartition source = new PostgresPartition(new PostgresConnectorConfig(config).getLogicalName(), "");
        positions = new WholePositions(context.offsetStorageReader().offset(source.getSourcePartition()));
        try {
            ChangeEventSourceCoordinator<PostgresPartition, PostgresOffsetContext> coordinator = super.start(ours);
            PlainStreaming.leaveEventsUntold(coordinator);
            return coordinator;
        } finally {
            queue = WakingQueue.take(key);
        }
    }

    /**
     * Whether the task can go on where it stopped: whether its replication slot is still there.
     *
     * <p>Debezium also demands that the slot is not ahead of the offset in Kafka. But with
     * {@code lsn.flush.mode=connector_and_driver} it may be: PostgreSQL's driver moves it on over what others wrote, and no
     * change of ours is in between, since the driver waits until all that it has handed out is confirmed.
     */
    @Override
    public boolean isLogPositionAvailable(
            LogPositionValidator validator, Partition partition, OffsetContext offset, CommonConnectorConfig config) {
        String slot = ((PostgresConnectorConfig) config).slotName();
        PostgresConnection connection =
                config.getBeanRegistry().lookupByName(StandardBeanNames.JDBC_CONNECTION, PostgresConnection.class);
        try {
            boolean there = connection.prepareQueryAndMap(
                    "SELECT 1 FROM pg_replication_slots WHERE slot_name = ?",
                    statement -> statement.setString(1, slot),
                    result -> result.next());
            if (!there) {
                throw new DebeziumException("The replication slot '" + slot + "' is gone: changes since are not captured");
            }
            return true;
        } catch (SQLException e) {
            throw new DebeziumException("PostgreSQL does not tell of the replication slot '" + slot + "'", e);
        }
    }

    @Override
    public void commit() {
        mayConfirm = true;
    }

    @Override
    public List<SourceRecord> doPoll() throws InterruptedException {
        long now = System.nanoTime();
        if (mayConfirm && now - confirmedNanos >= CONFIRM_NANOS) {
            mayConfirm = false;
            confirmedNanos = now;
            performCommit();
        }
        queue.await(WAIT_MS);
        return positions.of(super.doPoll());
    }
}
