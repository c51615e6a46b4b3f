"""Learning a network from scenes: options, patches, the lightning module, the run."""
