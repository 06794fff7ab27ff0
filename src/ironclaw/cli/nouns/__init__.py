"""One module for each noun of the command line: list, show, make, end, over the API."""
