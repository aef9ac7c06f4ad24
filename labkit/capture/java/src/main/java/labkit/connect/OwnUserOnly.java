package labkit.connect;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.ws.rs.container.ContainerRequestContext;
import jakarta.ws.rs.container.ContainerRequestFilter;
import jakarta.ws.rs.core.Context;
import jakarta.ws.rs.core.MediaType;
import jakarta.ws.rs.core.Response;
import org.apache.kafka.connect.rest.ConnectRestExtension;
import org.apache.kafka.connect.rest.ConnectRestExtensionContext;

/**
 * Lets only programs of the worker's own user, and root's, ask Kafka Connect anything.
 *
 * <p>It listens on loopback, which keeps other machines out, but not the other users of this one: they could read the
 * capture password, or let a connector read this user's files. A password of Connect's own would have to stand in every
 * request of every lesson. Linux tells for each connection on this machine whose the socket at its other end is, in
 * /proc/net/tcp (see proc_net_tcp in its documentation). Only an established one counts: a socket that its program has
 * closed is listed as root's. Where there is no such file, as on macOS, everybody is let in.
 */
public class OwnUserOnly implements ConnectRestExtension {

    private static final String VERSION = "1.0.0";

    @Override
    public void configure(Map<String, ?> worker) {
        // Nothing to choose.
    }

    @Override
    public void register(ConnectRestExtensionContext context) {
        context.configurable().register(new Filter());
    }

    @Override
    public String version() {
        return VERSION;
    }

    @Override
    public void close() {
        // Nothing is held open.
    }

    /** Refuses the requests of others. */
    public static final class Filter implements ContainerRequestFilter {

        private static final List<Path> CONNECTIONS = List.of(Path.of("/proc/net/tcp"), Path.of("/proc/net/tcp6"));
        private static final Path SELF = Path.of("/proc/self");
        private static final String IPV4_IN_IPV6 = "0000000000000000FFFF0000";
        private static final String ESTABLISHED = "01";
        private static final int LOCAL = 1;
        private static final int REMOTE = 2;
        private static final int STATE = 3;
        private static final int USER = 7;
        private static final int ROOT = 0;

        @Context
        private HttpServletRequest request;

        @Override
        public void filter(ContainerRequestContext context) throws IOException {
            if (Files.exists(CONNECTIONS.get(0)) && !mayAsk(Files.getAttribute(SELF, "unix:uid"))) {
                Map<String, Object> answer = Map.of(
                        "error_code", Response.Status.FORBIDDEN.getStatusCode(),
                        "message", "only programs of the user who runs this lab may ask its Kafka Connect");
                context.abortWith(Response.status(Response.Status.FORBIDDEN)
                        .type(MediaType.APPLICATION_JSON_TYPE).entity(answer).build());
            }
        }

        private boolean mayAsk(Object ownUser) throws IOException {
            String asker = place(request.getRemoteAddr(), request.getRemotePort());
            String server = place(request.getLocalAddr(), request.getLocalPort());
            for (Path connections : CONNECTIONS) {
                if (!Files.exists(connections)) {
                    continue;
                }
                try (Stream<String> lines = Files.lines(connections)) {
                    boolean found = lines.map(line -> line.strip().split("\\s+"))
                            .filter(row -> row.length > USER && row[STATE].equals(ESTABLISHED)
                                    && isAt(row[LOCAL], asker) && isAt(row[REMOTE], server))
                            .map(row -> Integer.valueOf(row[USER]))
                            .anyMatch(user -> user.equals(ownUser) || user == ROOT);
                    if (found) {
                        return true;
                    }
                }
            }
            return false;
        }

        private static boolean isAt(String listed, String place) {
            return listed.equals(place) || listed.equals(IPV4_IN_IPV6 + place);
        }

        /** An IPv4 address and port as Linux lists them: the address from its last byte to its first. */
        private static String place(String address, int port) throws IOException {
            byte[] bytes = InetAddress.getByName(address).getAddress();
            StringBuilder hex = new StringBuilder();
            for (int i = bytes.length - 1; i >= 0; i--) {
                hex.append(String.format("%02X", bytes[i]));
            }
            return hex.append(String.format(":%04X", port)).toString();
        }
    }
}
