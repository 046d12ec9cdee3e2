#!/bin/sh
# The program of a fake function: the test program, which plays the function when its environment names a Runtime API.
exec "$TEST_PROGRAM" --exact "$TEST_NAME" --nocapture
