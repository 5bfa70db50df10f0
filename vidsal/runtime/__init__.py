"""Threads, files and native libraries; nothing here knows about video."""
