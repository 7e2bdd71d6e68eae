"""Blobs and checkpoints: files on one machine, or objects in an S3-compatible store that several hosts share."""
