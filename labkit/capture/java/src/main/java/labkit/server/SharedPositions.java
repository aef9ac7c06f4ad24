package labkit.server;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;

import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.runtime.WorkerConfig;
import org.apache.kafka.connect.storage.KafkaOffsetBackingStore;
import org.apache.kafka.connect.util.Callback;
import org.apache.kafka.connect.util.SharedTopicAdmin;

/**
 * Keeps the position that Debezium Server has reached where Kafka Connect keeps it: in the same topic, under the same
 * key. So whichever of the two captures a table goes on where the other one stopped, and nothing is lost or repeated
 * by the change. Only one of them may run at a time.
 *
 * <p>Both write the same value, as it is the same connector that makes it. Their keys differ in the name: Connect takes
 * the connector's, Debezium Server that of its sink, {@code kafka} for every route. Here the connector's is put in its
 * place. It is the option {@code offset.storage.connector}.
 *
 * <p>A worker writes positions in transactions, and one that was killed leaves some that are aborted. Those were never
 * reached: {@code isolation.level=read_committed} must be set, and this class refuses to start without it.
 */
public class SharedPositions extends KafkaOffsetBackingStore {

    private static final String CONNECTOR = "offset.storage.connector";
    private static final String ISOLATION = ConsumerConfig.ISOLATION_LEVEL_CONFIG;
    private static final String READ_COMMITTED = "read_committed";
    private static final String CLIENT = "labkit-server-";

    private final Names names;
    private byte[] ours;
    private byte[] theirs;

    public SharedPositions() {
        this(new Names());
    }

    private SharedPositions(Names names) {
        super(() -> names.admin.topicAdmin(), () -> CLIENT + names.connector, plainJson());
        this.names = names;
    }

    /** What the base class asks for by functions, and is known only once the options are. */
    private static final class Names {
        private SharedTopicAdmin admin;
        private String connector;
    }

    private static JsonConverter plainJson() {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "false"), true);
        return converter;
    }

    @Override
    public void configure(WorkerConfig config) {
        Map<String, Object> options = config.originals();
        names.connector = required(options, CONNECTOR);
        if (!READ_COMMITTED.equals(options.get(ISOLATION))) {
            throw new ConnectException("Option " + ISOLATION + " must be " + READ_COMMITTED);
        }
        ours = prefix(required(options, "name"));
        theirs = prefix(names.connector);
        names.admin = new SharedTopicAdmin(options);
        super.configure(config);
    }

    @Override
    public void stop() {
        super.stop();
        if (names.admin != null) {
            names.admin.close();
        }
    }

    @Override
    public Future<Map<ByteBuffer, ByteBuffer>> get(Collection<ByteBuffer> keys) {
        Map<ByteBuffer, ByteBuffer> asked = new HashMap<>();
        for (ByteBuffer key : keys) {
            asked.put(renamed(key), key);
        }
        try {
            Map<ByteBuffer, ByteBuffer> found = new HashMap<>();
            super.get(asked.keySet()).get().forEach((key, value) -> found.put(asked.get(key), value));
            return CompletableFuture.completedFuture(found);
        } catch (ExecutionException error) {
            return CompletableFuture.failedFuture(error.getCause());
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            return CompletableFuture.failedFuture(error);
        }
    }

    @Override
    public Future<Void> set(Map<ByteBuffer, ByteBuffer> values, Callback<Void> callback) {
        Map<ByteBuffer, ByteBuffer> shared = new HashMap<>();
        values.forEach((key, value) -> shared.put(renamed(key), value));
        return super.set(shared, callback);
    }

    /** A key with the connector's name in it, {@code ["connector",{...}]}, from one with the sink's. */
    private ByteBuffer renamed(ByteBuffer key) {
        byte[] start = new byte[Math.min(ours.length, key.remaining())];
        key.duplicate().get(start);
        if (!Arrays.equals(start, ours)) {
            throw new ConnectException("This is no key of Debezium Server's: "
                    + StandardCharsets.UTF_8.decode(key.duplicate()));
        }
        ByteBuffer renamed = ByteBuffer.allocate(theirs.length + key.remaining() - ours.length);
        renamed.put(theirs).put(key.duplicate().position(key.position() + ours.length)).flip();
        return renamed;
    }

    private static byte[] prefix(String name) {
        return ("[\"" + name + "\",").getBytes(StandardCharsets.UTF_8);
    }

    private static String required(Map<String, Object> options, String name) {
        Object value = options.get(name);
        if (value == null) {
            throw new ConnectException("Option " + name + " is missing");
        }
        return value.toString();
    }
}
