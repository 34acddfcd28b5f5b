"""Run folders: written while a run goes on, read back afterwards."""
