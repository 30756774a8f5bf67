"""What goes on the audit trail of each thing that is recorded, ordered, submitted or refused."""
