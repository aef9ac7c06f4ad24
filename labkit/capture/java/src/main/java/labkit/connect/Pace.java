package labkit.connect;

import java.util.concurrent.TimeUnit;

/** Says when something is due: where there is news of it, and not too soon after the last time. */
final class Pace {

    private final long pauseNanos;
    private boolean news;
    private boolean before;
    private long lastNanos;

    Pace(long pauseMs) {
        pauseNanos = TimeUnit.MILLISECONDS.toNanos(pauseMs);
    }

    /** There is news. */
    synchronized void gotFurther() {
        news = true;
    }

    /**
     * Whether it is due; if so, the news is taken for told.
     *
     * @param nowNanos as {@link System#nanoTime} tells it
     */
    synchronized boolean isDue(long nowNanos) {
        // Differences, as nanoTime may overflow.
        if (!news || before && nowNanos - lastNanos < pauseNanos) {
            return false;
        }
        news = false;
        before = true;
        lastNanos = nowNanos;
        return true;
    }
}
