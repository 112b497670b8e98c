"""Thread positions: where stored threads are in their graphs, read from checkpoints without the code of the graph."""
