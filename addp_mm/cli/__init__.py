"""What command lines share: flags, a progress bar, and how a command ends."""
