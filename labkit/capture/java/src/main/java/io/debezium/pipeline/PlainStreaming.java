package io.debezium.pipeline;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;

import io.debezium.pipeline.metrics.StreamingChangeEventSourceMetrics;
import io.debezium.pipeline.source.spi.DataChangeEventListener;
import io.debezium.pipeline.spi.Partition;

/**
 * Streaming without a description of each event.
 *
 * <p>For its JMX figures Debezium 3.6 writes down what every event was, and makes a new Jackson {@code ObjectMapper} for
 * that: tens of kilobytes of garbage for each row of a fast stream. Nobody reads these figures here. Only Debezium's coordinator knows who is told of events, and only its own package may ask it.
 */
public final class PlainStreaming {

    private PlainStreaming() {
    }

    /**
     * No longer tell Debezium's metrics of the events it streams; of everything else they are told as before.
     *
     * @param coordinator of a task that has just been started: in a thread of its own it takes up its metrics for
     *     streaming once it is connected and its snapshot is done. Were it quicker than this call, only time would be lost.
     */
    public static <P extends Partition> void leaveEventsUntold(ChangeEventSourceCoordinator<P, ?> coordinator) {
        coordinator.streamingMetrics = untold(coordinator.streamingMetrics);
    }

    @SuppressWarnings("unchecked")
    private static <P extends Partition> StreamingChangeEventSourceMetrics<P> untold(
            StreamingChangeEventSourceMetrics<P> metrics) {
        Class<?> kind = StreamingChangeEventSourceMetrics.class;
        return (StreamingChangeEventSourceMetrics<P>) Proxy.newProxyInstance(
                kind.getClassLoader(), new Class<?>[] {kind}, (proxy, method, arguments) -> {
                    if (method.getDeclaringClass() == DataChangeEventListener.class && method.getName().equals("onEvent")) {
                        return null;
                    }
                    try {
                        return method.invoke(metrics, arguments);
                    } catch (InvocationTargetException error) {
                        throw error.getCause();
                    }
                });
    }
}
