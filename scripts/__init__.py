"""Programs for people who work on runnerd or look at it for the first time."""
