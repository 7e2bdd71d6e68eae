"""One reference compared with batch after batch: error shared over an open-ended series, and evidence that adds up."""
