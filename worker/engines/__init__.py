"""Engines: the neural networks. An engine turns pixel arrays into captions, and knows no jobs."""
