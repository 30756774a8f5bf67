"""What was seen in a checkup, judged: how bad it is, and what mends it. A module for each place
that is looked at."""
