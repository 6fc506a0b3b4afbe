//! Hostile and broken traffic: the service stays up, bounded, and forgets nothing it should not.
