"""What train and search share: attempts on the ranks, their progress, and their messages kept in tables."""
