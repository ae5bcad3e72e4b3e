"""What can be studied: the embedded worlds, models of the Hub, and the user's own."""
