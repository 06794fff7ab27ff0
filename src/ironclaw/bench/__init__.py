"""`ironclaw bench`: the budgets of the design, measured beside their floor."""
