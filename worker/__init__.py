"""The working side: claims images, decodes, captions in batches, and stores results."""
