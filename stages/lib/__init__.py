"""What the stages share: pure functions and typed settings; reading, writing and wiring stay in the stages."""
