package io.debezium.pipeline;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;

import io.debezium.pipeline.metrics.SnapshotChangeEventSourceMetrics;
import io.debezium.pipeline.metrics.StreamingChangeEventSourceMetrics;
import io.debezium.pipeline.source.spi.DataChangeEventListener;
import io.debezium.pipeline.spi.Partition;

/**
 * Metrics without a description of each event.
 *
 * <p>For its JMX figures Debezium 3.6 writes down what every event was, and makes a new Jackson {@code ObjectMapper} for
 * that: tens of kilobytes of garbage for each row, and a quarter of what a snapshot costs. Nobody reads these figures
 * here. Only Debezium's coordinator knows who is told of events, and only its own package may ask it.
 */
public final class PlainMetrics {

    private PlainMetrics() {
    }

    /**
     * No longer tell Debezium's metrics of the events it hands on; of everything else they are told as before.
     *
     * @param coordinator of a task that has just been started: in a thread of its own it takes up its metrics once it has
     *     looked for what to do. Were it quicker than this call, only time would be lost.
     */
    public static <P extends Partition> void leaveEventsUntold(ChangeEventSourceCoordinator<P, ?> coordinator) {
        coordinator.snapshotMetrics = untold(SnapshotChangeEventSourceMetrics.class, coordinator.snapshotMetrics);
        coordinator.streamingMetrics = untold(StreamingChangeEventSourceMetrics.class, coordinator.streamingMetrics);
    }

    @SuppressWarnings("unchecked")
    private static <M> M untold(Class<? super M> kind, M metrics) {
        return (M) kind.cast(Proxy.newProxyInstance(kind.getClassLoader(), new Class<?>[] {kind}, (proxy, method, values) -> {
            if (method.getDeclaringClass() == DataChangeEventListener.class && method.getName().equals("onEvent")) {
                return null;
            }
            try {
                return method.invoke(metrics, values);
            } catch (InvocationTargetException error) {
                throw error.getCause();
            }
        }));
    }
}
