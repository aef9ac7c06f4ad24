package labkit.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import org.junit.jupiter.api.Test;

class WakingQueueTest {

    private static final long LONG_MS = 60_000;
    private static final Duration SOON = Duration.ofSeconds(10);

    private final WakingQueue<String> queue = new WakingQueue<>();

    @Test
    void itKeepsTheOrder() {
        queue.enqueue("insert");
        queue.enqueue("update");
        assertEquals(2, queue.size());
        assertEquals("insert", queue.poll());
        assertEquals("update", queue.poll());
        assertNull(queue.poll());
        assertEquals(0, queue.size());
    }

    @Test
    void whoWaitsIsWokenByTheFirstEvent() {
        assertTimeoutPreemptively(SOON, () -> {
            CompletableFuture.delayedExecutor(200, TimeUnit.MILLISECONDS).execute(() -> queue.enqueue("insert"));
            queue.await(LONG_MS);
        });
        assertEquals(1, queue.size());
    }

    @Test
    void nobodyWaitsWhereThereIsAnEvent() {
        queue.enqueue("insert");
        assertTimeoutPreemptively(SOON, () -> queue.await(LONG_MS));
    }

    @Test
    void aWaitEndsWithItsTime() throws InterruptedException {
        long began = System.nanoTime();
        queue.await(100);
        assertTrue(System.nanoTime() - began >= 100_000_000);
    }

    @Test
    void itIsFoundOnceByTheKeyOfItsConfiguration() {
        assertEquals("waking", queue.name());
        queue.configure(Map.of(WakingQueue.KEY, "ours"));
        assertNull(WakingQueue.take("another"));
        assertSame(queue, WakingQueue.take("ours"));
        assertNull(WakingQueue.take("ours"));
    }
}
