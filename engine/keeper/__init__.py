"""The keeper's work on disk: bars sealed into immutable files, compacted, kept as long as is wished, deleted late."""
