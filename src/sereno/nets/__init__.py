"""Networks: `torch.nn.Module`s and nothing else."""
