"""Commands about networks and checkpoints."""
