"""What evaluate, publish and drift measure of a model, and how the report tells it."""
