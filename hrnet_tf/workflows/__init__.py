"""Jobs of several commands: demo and study."""
