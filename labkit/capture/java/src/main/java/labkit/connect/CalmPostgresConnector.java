package labkit.connect;

import io.debezium.connector.postgresql.PostgresConnector;
import org.apache.kafka.connect.connector.Task;

/** Debezium's connector for PostgreSQL, with {@link CalmPostgresTask} as its task; all else is Debezium's. */
public class CalmPostgresConnector extends PostgresConnector {

    @Override
    public Class<? extends Task> taskClass() {
        return CalmPostgresTask.class;
    }
}
