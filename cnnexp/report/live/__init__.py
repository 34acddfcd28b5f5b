"""The live page: one HTML file that runs a network in the reader's browser."""
