"""Skills as files: folders read, packed, signed, and kept for boxes to be shown."""
