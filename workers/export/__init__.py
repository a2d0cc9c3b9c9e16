"""What a journal holds of an instrument, for other programs: run once more, and looked at after each record."""
