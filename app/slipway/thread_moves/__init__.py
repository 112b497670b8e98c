"""Moving threads from one version of their graph to another: the checkpoint is rewritten, and the original is kept."""
