"""The web server's process: what it takes in, where it is worked on, how it goes out."""
