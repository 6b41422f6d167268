"""What a picture is, by looking at it once: photographed or drawn, how noisy, how much JPEG took from it."""
