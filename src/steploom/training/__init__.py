"""What training recurrent models needs on top of Lightning."""
