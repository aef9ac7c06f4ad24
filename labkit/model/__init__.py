"""The network, training, scoring, the running score and the live view."""
