"""Faults on purpose, with real processes: what is killed or stopped, and what must hold."""
