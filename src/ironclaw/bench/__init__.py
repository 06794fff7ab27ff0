"""`ironclaw bench`: the budgets of the design, measured, with the floor measured in the same run."""
