"""One file per thing learned. A task says what a stage trains, from what, and by which loss."""
