"""Binder for the tests: repo2docker's build in the tests' own Docker engine, and sessions of what it built."""
