"""The engines: what computes the loss that training follows, and its gradients."""
