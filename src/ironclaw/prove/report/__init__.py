"""What a proof says: as JSON, and as one page."""
