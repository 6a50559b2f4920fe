"""The commands for networks and checkpoints."""
