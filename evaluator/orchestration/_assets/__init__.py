"""The software-defined assets: each body reads, calls one function, and returns."""
