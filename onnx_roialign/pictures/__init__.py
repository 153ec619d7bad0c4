"""Pictures, by matplotlib, which nothing else imports."""
