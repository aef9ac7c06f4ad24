"""The same scoring on engines that people run at scale, each in a Python environment of its own."""
