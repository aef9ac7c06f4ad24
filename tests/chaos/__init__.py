"""Seeded faults on every part of a running lab, and the account afterwards: ``make chaos SEED=1 RUNS=20``."""
