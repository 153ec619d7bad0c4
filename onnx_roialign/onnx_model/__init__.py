"""What a session or a pass needs to know of a model, and writing models."""
