"""Who runs the servers."""
