"""Where the time goes: stages of a picture, operators of a network, single operators, resolutions, tiles, devices."""
