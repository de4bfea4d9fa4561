"""Reads frames beside the event loop, which a picture of many pixels would hold up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Content = TypeVar("Content")

AT_ONCE = 1024  # bytes; what is in so few is read faster than a thread is asked


async def read(unpack: Callable[[bytes | str], Content], frame: bytes | str) -> Content:
    """What `unpack` gives for the frame.  Raises WireError as it does."""
    return unpack(frame) if len(frame) <= AT_ONCE else await asyncio.to_thread(unpack, frame)
