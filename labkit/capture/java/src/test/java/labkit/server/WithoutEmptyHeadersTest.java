package labkit.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.source.SourceRecord;
import org.junit.jupiter.api.Test;

/** Headers without a value go, and nothing else of a record changes. */
class WithoutEmptyHeadersTest {

    private static final byte[] PIXELS = {1, 2, 3};

    private static SourceRecord transformed(ConnectHeaders headers) {
        SourceRecord record = new SourceRecord(Map.of("server", "lab"), Map.of("lsn", 7L), "lab.public.mnist_test", 0,
                Schema.STRING_SCHEMA, "11", Schema.BYTES_SCHEMA, PIXELS, 42L, headers);
        try (WithoutEmptyHeaders<SourceRecord> transform = new WithoutEmptyHeaders<>()) {
            transform.configure(Map.of());
            return transform.apply(record);
        }
    }

    @Test
    void whatIsEmptyGoesAndTheRestStaysInItsOrder() {
        ConnectHeaders headers = new ConnectHeaders();
        headers.addString("__op", "c");
        headers.add("__after_label", null, Schema.OPTIONAL_INT16_SCHEMA);
        headers.addLong("__source_lsn", 0L);
        headers.addString("empty_text", "");
        headers.add("__before_label", null, null);
        List<String> names = new ArrayList<>();
        for (Header header : transformed(headers).headers()) {
            names.add(header.key() + "=" + header.value());
        }
        assertEquals(List.of("__op=c", "__source_lsn=0", "empty_text="), names);
    }

    @Test
    void allElseOfTheRecordStays() {
        SourceRecord record = transformed(new ConnectHeaders());
        assertEquals("lab.public.mnist_test", record.topic());
        assertEquals(0, record.kafkaPartition());
        assertEquals("11", record.key());
        assertSame(PIXELS, record.value());
        assertEquals(42L, record.timestamp());
        assertEquals(Map.of("lsn", 7L), record.sourceOffset());
    }
}
