//! LXD's sizes and durations.
