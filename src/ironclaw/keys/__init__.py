"""Keys: where the master comes from, the ring it seals, and the custodian of session keys.

master (file or credential) -seals-> ring file (store key, signing key, sealing keys)
sealing keys -seal-> session keys
"""
