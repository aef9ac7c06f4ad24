package labkit.server;

import java.util.Map;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.components.Versioned;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Leaves out headers that hold nothing, such as the label of an unlabelled row. Kafka Connect records those as null;
 * Debezium Server's Kafka sink cannot, and ends. For a reader the two are the same.
 */
public class WithoutEmptyHeaders<R extends ConnectRecord<R>> implements Transformation<R>, Versioned {

    private static final String VERSION = "1.0.0";

    @Override
    public void configure(Map<String, ?> options) {
        // There are no options.
    }

    @Override
    public R apply(R record) {
        ConnectHeaders headers = new ConnectHeaders();
        for (Header header : record.headers()) {
            if (header.value() != null) {
                headers.add(header);
            }
        }
        return record.newRecord(record.topic(), record.kafkaPartition(), record.keySchema(), record.key(),
                record.valueSchema(), record.value(), record.timestamp(), headers);
    }

    @Override
    public ConfigDef config() {
        return new ConfigDef();
    }

    @Override
    public String version() {
        return VERSION;
    }

    @Override
    public void close() {
        // Nothing is held open.
    }
}
