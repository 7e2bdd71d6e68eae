"""Blobs and checkpoints: as files of one machine, or in an S3-compatible store that hosts share."""
