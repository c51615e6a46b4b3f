"""The fusion networks: each one file and one frozen dataclass of options."""
