"""The fusion methods: one file a method, each after its paper."""
