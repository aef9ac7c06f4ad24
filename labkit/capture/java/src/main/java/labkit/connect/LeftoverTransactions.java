package labkit.connect;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.rest.ConnectRestExtension;
import org.apache.kafka.connect.rest.ConnectRestExtensionContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Ends the transactions that a killed worker or broker left open, so that Connect's tasks can go on.
 *
 * <p>With exactly-once source support a worker, and each task, reads the source offsets to their end before it does
 * anything, and waits there for every open transaction. That of a killed worker ends only by its timeout, a minute
 * later. Worse, a broker that was killed just after a commit was decided may restart, take its partitions for deleted
 * while they have no leader, leave out the commit's markers and call the transaction complete (KAFKA-20734). Then the
 * wait never ends.
 *
 * <p>Both are ended here by an abort: records and source offsets are in the same transaction, so the connector reads
 * again what is taken back, and nothing is lost or repeated. A transaction whose producer may still live is left alone,
 * since that producer's next commit ends it as well, and an abort would lose what it takes for committed. So the
 * coordinator must say that the producer is gone; one that says nothing, as while it is loaded after the broker lost its
 * session, proves nothing. It supposes one worker in the group.
 *
 * <p>Connect offers no hook for this but a REST extension, which it registers while the worker starts. No resource is
 * added.
 */
public class LeftoverTransactions implements ConnectRestExtension {

    private static final Logger LOG = LoggerFactory.getLogger(LeftoverTransactions.class);
    private static final String VERSION = "1.0.0";
    private static final long PAUSE_MS = 1000;

    private final long startedMs = ManagementFactory.getRuntimeMXBean().getStartTime();
    private Map<String, Object> client;
    private Set<String> workerTopics;
    private Thread thread;

    @Override
    public void configure(Map<String, ?> worker) {
        client = Map.of(
                AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, worker.get(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG));
        workerTopics = Set.of(
                worker.get("offset.storage.topic").toString(), worker.get("config.storage.topic").toString());
    }

    @Override
    public void register(ConnectRestExtensionContext context) {
        thread = new Thread(this::run, "leftover-transactions");
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void close() {
        if (thread != null) {
            thread.interrupt();
        }
    }

    @Override
    public String version() {
        return VERSION;
    }

    private void run() {
        try (Admin admin = Admin.create(client)) {
            while (true) {
                endLeftovers(admin);
                Thread.sleep(PAUSE_MS);
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    private void endLeftovers(Admin admin) throws InterruptedException {
        try {
            for (List<ProducerState> awaited : open(workerTopics, admin).values()) {
                for (ProducerState producer : awaited) {
                    end(producer, admin);
                }
            }
        } catch (ExecutionException failed) {
            // The broker is away, or something has just ended by itself: the next look tells.
            LOG.info("Open transactions could not be looked at: {}", failed.getCause().toString());
        }
    }

    /** Ends a producer's transaction, if that producer is gone. */
    private void end(ProducerState producer, Admin admin) throws ExecutionException, InterruptedException {
        boolean beforeThisWorker = producer.lastTimestamp() < startedMs;
        Set<Long> id = Set.of(producer.producerId());
        boolean gone = false;
        for (TransactionListing known :
                admin.listTransactions(new ListTransactionsOptions().filterProducerIds(id)).all().get()) {
            switch (known.state()) {
                case ONGOING:
                    if (beforeThisWorker) {
                        LOG.warn("Ending the transaction of {}, which an earlier worker left open",
                                known.transactionalId());
                        admin.fenceProducers(List.of(known.transactionalId())).all().get();
                    }
                    return;
                case COMPLETE_COMMIT:
                case COMPLETE_ABORT:
                    gone = beforeThisWorker;
                    break;
                case EMPTY:
                    // A new task has taken the id over, with a younger epoch, and waits for the offsets.
                    gone = epoch(known.transactionalId(), admin) > producer.producerEpoch();
                    break;
                default:
                    return; // Being ended.
            }
        }
        if (gone) {
            abortHanging(producer, admin);
        }
    }

    private static int epoch(String transactionalId, Admin admin) throws ExecutionException, InterruptedException {
        return admin.describeTransactions(List.of(transactionalId)).description(transactionalId).get().producerEpoch();
    }

    /** Aborts what the coordinator holds for ended: nobody else will ever do it. */
    private void abortHanging(ProducerState hanging, Admin admin) throws ExecutionException, InterruptedException {
        Map<TopicPartition, List<ProducerState>> open = open(admin.listTopics().names().get(), admin);
        List<TopicPartition> partitions = new ArrayList<>(open.keySet());
        // The worker's own topics come last: once they are free, a task may write to the others.
        partitions.sort(Comparator.comparing(partition -> workerTopics.contains(partition.topic())));
        for (TopicPartition partition : partitions) {
            for (ProducerState state : open.get(partition)) {
                // A younger epoch is that of a task that has begun a transaction meanwhile.
                if (state.producerId() == hanging.producerId() && state.producerEpoch() == hanging.producerEpoch()) {
                    LOG.warn("Aborting a transaction that hangs in {} since offset {}",
                            partition, state.currentTransactionStartOffset().getAsLong());
                    admin.abortTransaction(new AbortTransactionSpec(
                            partition, state.producerId(), (short) state.producerEpoch(),
                            Math.max(0, state.coordinatorEpoch().orElse(0)))).all().get();
                }
            }
        }
    }

    /** The producers with an open transaction, by partition. */
    private static Map<TopicPartition, List<ProducerState>> open(Collection<String> topics, Admin admin)
            throws ExecutionException, InterruptedException {
        List<TopicPartition> partitions = admin.describeTopics(topics).allTopicNames().get().values().stream()
                .flatMap(topic -> topic.partitions().stream()
                        .map(partition -> new TopicPartition(topic.name(), partition.partition())))
                .toList();
        return admin.describeProducers(partitions).all().get().entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue().activeProducers().stream()
                        .filter(state -> state.currentTransactionStartOffset().isPresent())
                        .toList()));
    }
}
