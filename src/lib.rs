//! sandtop: launch a workload under a memory limit, watch what the kernel does to it, and move the limit while it runs.
//!
//! In reading order: what is said ([`event`], [`units`], [`schedule`]), what it adds up to ([`session`], [`sentences`]), where it comes from
//! ([`cgroup`], [`procs`], [`oom`], [`sandbox`], [`supervisor`]), who consumes it ([`tap`], [`record`], [`metrics`], [`result`], [`headless`], [`ci`], [`report`], [`tui`]), and what starts it all
//! ([`cli`], [`config`], [`resolve`], [`plan`]); what the command line makes of itself is [`generate`]'s. `ARCHITECTURE.md` has the picture.

pub mod event;
pub mod schedule;
pub mod units;

pub mod sentences;
pub mod session;
pub mod text;

pub mod cgroup;
pub mod mountinfo;
pub mod oom;
pub mod procs;
pub mod sandbox;
pub mod supervisor;

pub mod metrics;
pub mod record;
pub mod replay;
pub mod result;
pub mod tap;

pub mod ci;
pub mod front;
pub mod headless;
pub mod report;
pub mod tui;

pub mod accounts;
pub mod axis;
pub mod cli;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod document;
pub mod error;
pub mod files;
pub mod generate;
pub mod heap;
pub mod hints;
pub mod plan;
pub mod resolve;

#[cfg(test)]
mod documented;
