"""What several pages share. Owns presentation only: no maths, no training, no storage."""
