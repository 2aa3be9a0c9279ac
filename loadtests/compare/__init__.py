"""The comparison: one service written for every framework, the same requests to all, in one interleaved run."""
