//! sandtop: launch a workload under a memory limit, watch what the kernel does to it, and move the limit while it runs.
//!
//! In reading order: what is said ([`event`], [`units`]), what it adds up to ([`session`], [`sentences`]), where it comes from
//! ([`cgroup`], [`procs`], [`oom`], [`sandbox`], [`supervisor`]), who consumes it ([`headless`], [`tui`]), and what starts it all
//! ([`cli`], [`resolve`], [`plan`]). `ARCHITECTURE.md` has the picture.

pub mod event;
pub mod units;

pub mod sentences;
pub mod session;

pub mod cgroup;
pub mod mountinfo;
pub mod oom;
pub mod procs;
pub mod sandbox;
pub mod supervisor;

pub mod headless;
pub mod tui;

pub mod cli;
pub mod demo;
pub mod error;
pub mod hints;
pub mod plan;
pub mod resolve;
