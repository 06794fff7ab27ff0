"""Keys: where the master comes from, the ring it seals, and the custodian of session keys.

master (file or credential) -seals-> ring file (store key, sealing keys) -seals-> session keys
"""
