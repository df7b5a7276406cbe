"""From a study to its leaderboard, report page, retrained model and submission."""
