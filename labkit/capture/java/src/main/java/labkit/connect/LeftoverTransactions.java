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
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.rest.ConnectRestExtension;
import org.apache.kafka.connect.rest.ConnectRestExtensionContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Ends the transactions that a killed Connect worker left open, so that its successor can start.
 *
 * <p>A worker with exactly-once source support reads its offsets and configurations to their end before anything else,
 * and waits there for every open transaction. Its predecessor's ends only by its timeout, a minute later. Worse, where
 * the broker was killed, too, it may never end: a broker that restarts can take its partitions for deleted for a
 * moment, leave out a transaction's markers and call it complete (KAFKA-20734). Then the worker waits for ever.
 *
 * <p>Both are ended here by an abort: records and source offsets are in the same transaction, so the connector reads
 * again what is taken back, and nothing is lost or repeated. Only transactions are touched that were written to before
 * this worker was started and that it waits for, so no task of its own can be hit. It supposes one worker in the group.
 *
 * <p>Connect offers no hook for this but a REST extension, which it registers while the worker starts. No resource is
 * added.
 */
public class LeftoverTransactions implements ConnectRestExtension {

    private static final Logger LOG = LoggerFactory.getLogger(LeftoverTransactions.class);
    private static final String VERSION = "1.0.0";
    private static final long PAUSE_MS = 500;
    private static final Set<TransactionState> BEING_ENDED = Set.of(
            TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT, TransactionState.PREPARE_EPOCH_FENCE);

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
            while (!endedAll(admin)) {
                Thread.sleep(PAUSE_MS);
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    /** Ends what can be ended now; true if nothing was open that the worker waits for. */
    private boolean endedAll(Admin admin) throws InterruptedException {
        try {
            Map<TopicPartition, List<ProducerState>> open = openBeforeStart(admin);
            Set<Long> awaited = open.entrySet().stream()
                    .filter(entry -> workerTopics.contains(entry.getKey().topic()))
                    .flatMap(entry -> entry.getValue().stream().map(ProducerState::producerId))
                    .collect(Collectors.toSet());
            for (long producer : awaited) {
                end(producer, open, admin);
            }
            return awaited.isEmpty();
        } catch (ExecutionException failed) {
            // The broker is away, or something has just ended by itself: the next look tells.
            LOG.warn("Transactions of an earlier worker could not be ended yet: {}", failed.getCause().toString());
            return false;
        }
    }

    private void end(long producer, Map<TopicPartition, List<ProducerState>> open, Admin admin)
            throws ExecutionException, InterruptedException {
        Collection<TransactionListing> known =
                admin.listTransactions(new ListTransactionsOptions().filterProducerIds(Set.of(producer))).all().get();
        for (TransactionListing transaction : known) {
            if (BEING_ENDED.contains(transaction.state())) {
                return;
            }
            if (transaction.state() == TransactionState.ONGOING) {
                LOG.warn("Ending the transaction of {}, which an earlier worker left open", transaction.transactionalId());
                admin.fenceProducers(List.of(transaction.transactionalId())).all().get();
                return;
            }
        }
        // The coordinator calls it complete, or has forgotten it, and yet it is open: nobody else will ever end it.
        // The worker's own topics come last: once they are free, a task may write to the others.
        List<TopicPartition> partitions = new ArrayList<>(open.keySet());
        partitions.sort(Comparator.comparing(partition -> workerTopics.contains(partition.topic())));
        for (TopicPartition partition : partitions) {
            for (ProducerState state : open.get(partition)) {
                if (state.producerId() == producer) {
                    LOG.warn("Aborting a transaction that hangs in {} since offset {}",
                            partition, state.currentTransactionStartOffset().getAsLong());
                    admin.abortTransaction(new AbortTransactionSpec(partition, producer, (short) state.producerEpoch(),
                            Math.max(0, state.coordinatorEpoch().orElse(0)))).all().get();
                }
            }
        }
    }

    /** The producers with a transaction that is open and was last written to before this worker started. */
    private Map<TopicPartition, List<ProducerState>> openBeforeStart(Admin admin)
            throws ExecutionException, InterruptedException {
        Collection<TopicDescription> topics =
                admin.describeTopics(admin.listTopics().names().get()).allTopicNames().get().values();
        List<TopicPartition> partitions = topics.stream()
                .flatMap(topic -> topic.partitions().stream()
                        .map(partition -> new TopicPartition(topic.name(), partition.partition())))
                .toList();
        return admin.describeProducers(partitions).all().get().entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue().activeProducers().stream()
                        .filter(state -> state.currentTransactionStartOffset().isPresent())
                        .filter(state -> state.lastTimestamp() < startedMs)
                        .toList()));
    }
}
