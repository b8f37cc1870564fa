"""What all commands share: configuration, help, errors, and where a command writes."""
