"""Build steps that setup.cfg cannot say; everything else is declared there."""

from setuptools import setup

setup()
