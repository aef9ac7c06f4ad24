package labkit.connect;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class PaceTest {

    private static final long MS = 1_000_000;

    /** Of a clock that is about to overflow. */
    private final long start = Long.MAX_VALUE - 500 * MS;
    private final Pace pace = new Pace(1000);

    @Test
    void nothingIsDueWithoutNews() {
        assertFalse(pace.isDue(start));
        assertFalse(pace.isDue(start + 5000 * MS));
    }

    @Test
    void theFirstNewsAreDueAtOnceAndOnce() {
        pace.gotFurther();
        assertTrue(pace.isDue(start));
        assertFalse(pace.isDue(start + 5000 * MS));
    }

    @Test
    void furtherNewsWaitForTheirTime() {
        pace.gotFurther();
        assertTrue(pace.isDue(start));
        pace.gotFurther();
        assertFalse(pace.isDue(start + 999 * MS));
        assertTrue(pace.isDue(start + 1000 * MS));
    }
}
