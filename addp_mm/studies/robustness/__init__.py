"""ImageNet-A, -R, -Sketch and -C: accuracies and corruption errors."""
