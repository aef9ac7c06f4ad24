"""Learning from a stream row by row: iris, streaming k-means, and the course of its score.

Its modules need no more than NumPy, SciPy, pydantic and kafka-python, so that an engine's environment can import them;
what needs scikit-learn or psycopg imports it within the function that uses it, or says so at its head.
"""
