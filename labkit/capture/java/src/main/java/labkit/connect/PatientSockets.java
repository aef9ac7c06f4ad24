package labkit.connect;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import javax.net.SocketFactory;

/**
 * Sockets whose shortest wait is longer, for who waits for PostgreSQL's log.
 *
 * <p>Debezium asks pgjdbc again and again whether something has come. To find out, pgjdbc reads for one millisecond
 * ({@code PGStream.hasMessagePending}); after five such looks Debezium sleeps for its poll interval. A read ends as soon
 * as something comes, a sleep does not: with longer reads a thread that has nothing to do wakes a fraction as often, and
 * what comes is seen sooner. What is confirmed to the slot has to wait for the end of a read, so not much longer ones.
 *
 * <p>pgjdbc makes it from the name in {@code socketFactory}, and calls only {@link #createSocket()}.
 */
public class PatientSockets extends SocketFactory {

    private static final int PGJDBCS_LOOK_MS = 1;
    private static final int LOOK_MS = 20;

    @Override
    public Socket createSocket() {
        return new Socket() {
            @Override
            public void setSoTimeout(int timeoutMs) throws SocketException {
                super.setSoTimeout(timeoutMs == PGJDBCS_LOOK_MS ? LOOK_MS : timeoutMs);
            }
        };
    }

    @Override
    public Socket createSocket(InetAddress host, int port) throws IOException {
        Socket socket = createSocket();
        socket.connect(new InetSocketAddress(host, port));
        return socket;
    }

    @Override
    public Socket createSocket(String host, int port) throws IOException {
        return createSocket(InetAddress.getByName(host), port);
    }

    @Override
    public Socket createSocket(InetAddress host, int port, InetAddress local, int localPort) throws IOException {
        Socket socket = createSocket();
        socket.bind(new InetSocketAddress(local, localPort));
        socket.connect(new InetSocketAddress(host, port));
        return socket;
    }

    @Override
    public Socket createSocket(String host, int port, InetAddress local, int localPort) throws IOException {
        return createSocket(InetAddress.getByName(host), port, local, localPort);
    }
}
