"""Authentication by a directory (LDAP): verifies passwords, and reads the groups of users."""
