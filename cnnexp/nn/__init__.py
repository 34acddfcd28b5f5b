"""Layers, losses and networks."""
