"""What every host module may use: errors, ids, clock, log, tasks. Imports nothing else of ours."""
