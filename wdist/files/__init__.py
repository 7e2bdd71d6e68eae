"""Files that are written: durably, and looked at before."""
