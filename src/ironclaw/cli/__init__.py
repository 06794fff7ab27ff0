"""The `ironclaw` command: an edge; it talks to the API and renders."""
