"""The ROS 2 edge: nodes, messages, and the commands that run them. Nothing here is learned."""
