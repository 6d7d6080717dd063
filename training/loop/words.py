"""Lengths of time, counts and moments as people read them."""

from datetime import datetime, timedelta

MINUTE, HOUR, DAY = 60, 3600, 86_400


def counted(number: int, thing: str) -> str:
    """1 comparison, 12 comparisons"""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def spent(time: timedelta) -> str:
    """8 s, 3 min, 1 h 5 min, 2 days 3 h"""
    seconds = max(0, round(time.total_seconds()))
    if seconds < 2 * MINUTE:
        return f"{seconds} s"
    minutes = round(seconds / MINUTE)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def moment(at: datetime, now: datetime) -> str:
    """today at 14:00 UTC, tomorrow at 9:05 UTC, on 3 May at 14:00 UTC; both are in UTC."""
    clock = f"{at:%H:%M} UTC"
    days = (at.date() - now.date()).days
    if days in (-1, 0, 1):
        return f"{('yesterday', 'today', 'tomorrow')[days + 1]} at {clock}"
    year = f" {at.year}" if at.year != now.year else ""
    return f"on {at.day} {at:%B}{year} at {clock}"
