"""The Monitor: a run of somebody's own training loop, written while it trains."""
