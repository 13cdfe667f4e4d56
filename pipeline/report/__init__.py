"""What people read: the funnel on the terminal and as a picture, and HTML reports."""
