"""FollowBench: chains of requests that grow by one constraint a level."""
