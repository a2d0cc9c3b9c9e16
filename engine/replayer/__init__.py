"""The process that plays a journal into the rings of an engine, in the place of the one that speaks with a venue."""
