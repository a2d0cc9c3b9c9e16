"""Market-data feeds. A venue is one file here that knows how to talk; what its messages mean is the workers' part."""
