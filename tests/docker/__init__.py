"""Docker for the tests: an engine of their own, and images that stand in for the official ones."""
