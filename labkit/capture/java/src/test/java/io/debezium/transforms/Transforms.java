package io.debezium.transforms;

import java.util.Map;

import org.apache.kafka.connect.source.SourceRecord;

/** The transform with options, for the tests. */
final class Transforms {

    private Transforms() {
    }

    static MnistToCsv<SourceRecord> transform(Map<String, ?> options) {
        MnistToCsv<SourceRecord> transform = new MnistToCsv<>();
        transform.configure(options);
        return transform;
    }

    static SourceRecord apply(Map<String, ?> options, SourceRecord record) {
        return transform(options).apply(record);
    }

    static SourceRecord apply(SourceRecord record) {
        return apply(Map.of(), record);
    }
}
