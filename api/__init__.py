"""The door: HTTP in, jobs out. Never imports torch or the worker."""
