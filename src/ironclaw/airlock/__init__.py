"""The confined process that alone touches what a sandbox wrote, and the core's link to it."""
