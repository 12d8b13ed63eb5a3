"""What the beets plugin stands on, without beets: one pipeline in a thread of its own, options, the album's genres."""
