"""The routes, a module per surface."""
