"""Ways from a committed row to a recorded prediction, each to be measured in a lab of its own by `benchmarks.bench`."""
