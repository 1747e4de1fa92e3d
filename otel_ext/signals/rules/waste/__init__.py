"""`waste.*`: resources spent for nothing."""
