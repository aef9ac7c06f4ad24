# In place of buildpack-deps, which repo2docker builds on: Debian with the few programs of it that the build uses. The
# bundle of certificates is this machine's, which may be behind a proxy that signs with its own.
FROM plain
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
