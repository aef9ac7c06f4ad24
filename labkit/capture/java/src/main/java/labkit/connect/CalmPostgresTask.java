package labkit.connect;

import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;

import io.debezium.config.CommonConnectorConfig;
import io.debezium.config.Configuration;
import io.debezium.connector.postgresql.PostgresConnector;
import io.debezium.connector.postgresql.PostgresConnectorConfig;
import io.debezium.connector.postgresql.PostgresConnectorTask;
import io.debezium.connector.postgresql.PostgresOffsetContext;
import io.debezium.connector.postgresql.PostgresPartition;
import io.debezium.pipeline.ChangeEventSourceCoordinator;
import io.debezium.pipeline.PlainMetrics;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Debezium's task, which loses no change at a restart (see {@link WholePositions}), and rests while nothing changes. With a
 * poll every few milliseconds Debezium's own is busy then, in three ways.
 *
 * <p>With exactly-once source support Kafka Connect says "committed" after every poll, also after one that brought
 * nothing. Each time Debezium's task reads the offsets topic to its end, so as to confirm to the replication slot what
 * is safely there. Here it does so at most twice a second, only where something was handed out, and in a thread of its
 * own: events wait neither for the offsets topic nor for the connection of the slot. Nothing is confirmed that Debezium
 * would not confirm, it is only later.
 *
 * <p>And of each wait for the next event Debezium's queue spends the last millisecond awake, as it counts what is left
 * of it in whole ones. Here it is asked only once there is an event, or half a second later.
 *
 * <p>Third, it looks for what PostgreSQL sends in reads of a millisecond, see {@link PatientSockets}.
 */
public class CalmPostgresTask extends PostgresConnectorTask {

    private static final long CONFIRM_NANOS = TimeUnit.MILLISECONDS.toNanos(500);
    /** Debezium's queue is asked as often in any case: it also tells what went wrong. */
    private static final long WAIT_MS = 500;

    // Debezium Server starts and polls a task on different threads.
    private volatile WakingQueue<?> queue;
    private volatile boolean mayConfirm;
    private volatile boolean handedOut;
    private volatile long confirmedNanos;
    private volatile CompletableFuture<Void> confirmation = CompletableFuture.completedFuture(null);
    private volatile WholePositions positions;

    @Override
    public ChangeEventSourceCoordinator<PostgresPartition, PostgresOffsetContext> start(Configuration config) {
        String key = UUID.randomUUID().toString();
        Configuration ours = config.edit()
                // Debezium chooses its queries for the snapshot by this very name.
                .with(CommonConnectorConfig.CONNECTOR_CLASS, PostgresConnector.class.getName())
                .with(CommonConnectorConfig.QUEUE_PROVIDER_TYPE, WakingQueue.NAME)
                .with(WakingQueue.KEY, key)
                .with(CommonConnectorConfig.DRIVER_CONFIG_PREFIX + "socketFactory", PatientSockets.class.getName())
                .build();
        confirmedNanos = System.nanoTime() - CONFIRM_NANOS;
        PostgresPartition source = new PostgresPartition(new PostgresConnectorConfig(config).getLogicalName(), "");
        positions = new WholePositions(context.offsetStorageReader().offset(source.getSourcePartition()));
        try {
            ChangeEventSourceCoordinator<PostgresPartition, PostgresOffsetContext> coordinator = super.start(ours);
            PlainMetrics.leaveEventsUntold(coordinator);
            return coordinator;
        } finally {
            queue = WakingQueue.take(key);
        }
    }

    @Override
    public void commit() {
        mayConfirm = true;
    }

    @Override
    public List<SourceRecord> doPoll() throws InterruptedException {
        long now = System.nanoTime();
        if (confirmation.isCompletedExceptionally()) {
            failAsTheConfirmation();
        }
        if (mayConfirm && handedOut && now - confirmedNanos >= CONFIRM_NANOS && confirmation.isDone()) {
            mayConfirm = false;
            handedOut = false;
            confirmedNanos = now;
            confirmation = CompletableFuture.runAsync(this::performCommit, CalmPostgresTask::inAThread);
        }
        queue.await(WAIT_MS);
        List<SourceRecord> records = positions.of(super.doPoll());
        handedOut |= !records.isEmpty();
        return records;
    }

    /** Let the poll fail as if it had confirmed by itself. A task may be started again, then with nothing to tell. */
    private void failAsTheConfirmation() {
        CompletableFuture<Void> failed = confirmation;
        confirmation = CompletableFuture.completedFuture(null);
        try {
            failed.join();
        } catch (CompletionException error) {
            throw new ConnectException("the replication slot could not be told what is in Kafka", error.getCause());
        }
    }

    private static void inAThread(Runnable work) {
        Thread thread = new Thread(work, "labkit-confirm");
        thread.setDaemon(true);
        thread.start();
    }
}
