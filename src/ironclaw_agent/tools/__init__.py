"""The agent's hands: each tool is a row of `table`, strict about what a model hands it."""
