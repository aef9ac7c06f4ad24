package labkit.connect;

import java.util.List;
import java.util.UUID;

import io.debezium.config.CommonConnectorConfig;
import io.debezium.config.Configuration;
import io.debezium.connector.postgresql.PostgresConnectorTask;
import io.debezium.connector.postgresql.PostgresOffsetContext;
import io.debezium.connector.postgresql.PostgresPartition;
import io.debezium.pipeline.ChangeEventSourceCoordinator;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Debezium's task, which rests while nothing changes. With a poll every few milliseconds Debezium's own is busy then, in
 * two ways.
 *
 * <p>With exactly-once source support Kafka Connect says "committed" after every poll, also after one that brought
 * nothing. Each time Debezium's task reads the offsets topic to its end, so as to confirm to the replication slot what
 * is safely there. Here it does so once a second, and only where there are more records. Nothing is confirmed that
 * Debezium would not confirm, it is only later: PostgreSQL keeps up to a second's more of its log.
 *
 * <p>And of each wait for the next event Debezium's queue spends the last millisecond awake, as it counts what is left
 * of it in whole ones. Here it is asked only once there is an event.
 */
public class CalmPostgresTask extends PostgresConnectorTask {

    private static final long CONFIRM_MS = 1000;
    /** Debezium's queue is asked as often in any case: it also tells what went wrong. */
    private static final long WAIT_MS = 500;

    private final Pace pace = new Pace(CONFIRM_MS);
    private volatile WakingQueue<?> queue;

    @Override
    public ChangeEventSourceCoordinator<PostgresPartition, PostgresOffsetContext> start(Configuration config) {
        String key = UUID.randomUUID().toString();
        Configuration ours = config.edit()
                .with(CommonConnectorConfig.QUEUE_PROVIDER_TYPE, WakingQueue.NAME)
                .with(WakingQueue.KEY, key)
                .build();
        try {
            return super.start(ours);
        } finally {
            queue = WakingQueue.take(key);
        }
    }

    @Override
    public List<SourceRecord> doPoll() throws InterruptedException {
        queue.await(WAIT_MS);
        return super.doPoll();
    }

    @Override
    public void commitRecord(SourceRecord record, RecordMetadata metadata) throws InterruptedException {
        super.commitRecord(record, metadata);
        pace.gotFurther();
    }

    @Override
    public void commit() throws InterruptedException {
        if (pace.isDue(System.nanoTime())) {
            super.commit();
        }
    }
}
