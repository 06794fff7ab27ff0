"""The command line: `ironclaw`. Every word it prints goes through `render`."""
