"""What runs in a box in place of, or beside, `/sandbox`: hostile code. Copied into a probe tree.

Nothing here is ever imported by the host. It is the standard library alone, so that it can show
what any program could do.
"""
