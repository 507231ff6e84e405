"""The network: two towers, proprioception, FiLM fusion, temporal transformer and mixture head."""
