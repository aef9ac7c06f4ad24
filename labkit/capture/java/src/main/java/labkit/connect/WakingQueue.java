package labkit.connect;

import java.util.ArrayDeque;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

import io.debezium.connector.base.QueueProvider;

/**
 * A queue in memory, as Debezium's own, in which one can wait for an event.
 *
 * <p>Debezium makes its queue from the name in {@code queue.provider.type}, and gives it to nobody. Who made the
 * configuration finds it by the key that it has put there.
 *
 * @param <T> what is queued
 */
public class WakingQueue<T> implements QueueProvider<T> {

    static final String NAME = "waking";
    static final String KEY = "queue.provider.waking.key";

    private static final Map<String, WakingQueue<?>> BY_KEY = new ConcurrentHashMap<>();

    private final Queue<T> events = new ArrayDeque<>();

    /** The queue that was made of a configuration with this key; the next call finds it no more. */
    static WakingQueue<?> take(String key) {
        return BY_KEY.remove(key);
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public void configure(Map<String, ?> properties) {
        if (properties.get(KEY) instanceof String key) {
            BY_KEY.put(key, this);
        }
    }

    /** Wait until there is an event, or until the time is over. */
    synchronized void await(long timeoutMs) throws InterruptedException {
        long leftNanos = TimeUnit.MILLISECONDS.toNanos(timeoutMs);
        long endNanos = System.nanoTime() + leftNanos;
        while (events.isEmpty() && leftNanos > 0) {
            TimeUnit.NANOSECONDS.timedWait(this, leftNanos);
            leftNanos = endNanos - System.nanoTime();
        }
    }

    @Override
    public synchronized void enqueue(T event) {
        events.add(event);
        notifyAll();
    }

    @Override
    public synchronized T poll() {
        return events.poll();
    }

    @Override
    public synchronized int size() {
        return events.size();
    }
}
