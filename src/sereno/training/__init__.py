"""The training of networks: samples, losses, epochs, checkpoints. It knows no file format."""
