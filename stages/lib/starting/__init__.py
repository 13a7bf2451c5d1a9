"""What files of data seem to be, and a study to begin with."""
