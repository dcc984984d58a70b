//! Processes that the bench starts: where they run, what they cost, and their certain end.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::namespace::enter;

/// Where and how a process runs.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The network namespace.
    pub(crate) namespace: &'a str,
    /// The processors it may use, as `taskset -c` takes them.
    pub(crate) processors: &'a str,
    /// Where its log goes.
    pub(crate) log: &'a Path,
}

impl Place<'_> {
    /// A command in this place. It dies with the bench, and Ctrl-C on the bench does not reach it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = enter(self.namespace, "setpriv");
        command.args(["--pdeathsig", "KILL", "taskset", "-c", self.processors]).arg(program);
        command.process_group(0).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end, with `tick` called all the time, and returns what it wrote to
    /// standard output. An error of `tick` ends the program.
    pub(crate) fn run(&self, mut command: Command, mut tick: impl FnMut() -> Result<()>) -> Result<String> {
        let name = command.get_args().nth(PROGRAM_ARGUMENT).unwrap_or_default().to_owned();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.context("nsenter (util-linux)")?;
        // Reports are a few kilobytes: they fit the pipe.
        while child.try_wait()?.is_none() {
            if let Err(error) = tick() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
            sleep(POLL);
        }
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        let end: String = format!("{text}{error}").trim().lines().rev().take(LOG_LINES_SHOWN).collect();
        ensure!(output.status.success(), "{} failed ({}): {end}", name.display(), output.status);
        Ok(text)
    }

    /// Starts a daemon in this place, its standard output to the log unless `output` is given.
    pub(crate) fn start(&self, mut command: Command, output: Option<File>) -> Result<Daemon> {
        let log = File::create(self.log).with_context(|| self.log.display().to_string())?;
        command.stdout(output.map_or_else(|| log.try_clone(), Ok)?).stderr(log);
        let child = command.spawn().context("nsenter (util-linux)")?;
        Ok(Daemon { child, log: self.log.to_owned() })
    }
}

/// A running process and its children. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: std::path::PathBuf,
}

/// What a daemon and its descendants have used so far.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Every process of it.
    pub(crate) pids: BTreeSet<i32>,
    /// User and system time of all of them.
    pub(crate) cpu: Duration,
    /// Resident memory of all of them; what they share is counted for each.
    pub(crate) rss_kib: f64,
}

impl Daemon {
    /// Waits until `ready` says so. Fails when the process ends or `READY_MAX` has passed.
    pub(crate) fn wait(&mut self, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !ready()? {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status}): {}", self.last_words());
            }
            ensure!(start.elapsed() < READY_MAX, "it does not answer: {}", self.last_words());
            sleep(POLL);
        }
        Ok(())
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().rev().take(LOG_LINES_SHOWN);
        let lines: Vec<String> = lines.map(|line| line.chars().take(LOG_LINE_CHARS).collect()).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// What it has used so far, from /proc.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let root = i32::try_from(self.child.id())?;
        let all = processes()?;
        let mut pids = BTreeSet::from([root]);
        // Children have no order in /proc: repeat until no more are found.
        loop {
            let known = pids.len();
            pids.extend(all.iter().filter(|p| pids.contains(&p.parent)).map(|p| p.pid).collect::<Vec<_>>());
            if pids.len() == known {
                break;
            }
        }
        let ours: Vec<&Process> = all.iter().filter(|p| pids.contains(&p.pid)).collect();
        ensure!(ours.iter().any(|p| p.pid == root), "it ended: {}", self.last_words());
        let ticks: u64 = ours.iter().map(|p| p.ticks).sum();
        let per_second = rustix::param::clock_ticks_per_second();
        let cpu = Duration::from_micros(ticks * 1_000_000 / per_second);
        let pages: u64 = ours.iter().map(|p| p.rss_pages).sum();
        let page_kib = u32::try_from(rustix::param::page_size() / 1024)?;
        let rss_kib = f64::from(u32::try_from(pages)?) * f64::from(page_kib);
        Ok(Usage { pids, cpu, rss_kib })
    }

    /// Proportional set size of all of its processes, in KiB (`/proc/PID/smaps_rollup`): what they
    /// share is counted once.
    pub(crate) fn pss_kib(&self) -> Result<f64> {
        let mut sum = 0.0;
        for pid in self.usage()?.pids {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).with_context(|| path.clone())?;
            sum += pss(&text).with_context(|| format!("{path} has no Pss"))?;
        }
        Ok(sum)
    }

    /// Open descriptors of all of its processes.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        let pids = self.usage()?.pids;
        pids.iter().map(|pid| Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())).sum()
    }

    /// [`Self::pss_kib`] once it no longer changes, or after `SETTLE_MAX`.
    pub(crate) fn settled_pss_kib(&self, mut tick: impl FnMut() -> Result<()>) -> Result<f64> {
        let start = Instant::now();
        let mut last: Vec<f64> = Vec::new();
        loop {
            tick()?;
            let now = self.pss_kib()?;
            last.push(now);
            let recent = last.iter().rev().take(SETTLE_SAMPLES);
            let same = recent.filter(|before| (*before - now).abs() <= now * SETTLE_SHARE).count();
            if same == SETTLE_SAMPLES || start.elapsed() > SETTLE_MAX {
                return Ok(now);
            }
            sleep(SETTLE_POLL);
        }
    }

    /// Asks it to end and waits; kills it when it takes longer than `END_MAX`.
    pub(crate) fn end(&mut self) {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        let start = Instant::now();
        let _ = kill_process(pid, Signal::TERM);
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > END_MAX {
                let _ = self.child.kill();
            }
            sleep(POLL);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// The `Pss:` line of a `smaps_rollup`, in KiB.
fn pss(rollup: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

struct Process {
    pid: i32,
    parent: i32,
    ticks: u64,
    rss_pages: u64,
}

fn processes() -> Result<Vec<Process>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process may end while the list is read.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let process = process(pid, &stat);
        all.push(process.ok_or_else(|| anyhow!("/proc/{pid}/stat has another form: {stat}"))?);
    }
    Ok(all)
}

/// A line of /proc/PID/stat (proc(5)): the name may hold anything, so fields count from its end.
fn process(pid: i32, stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let number = |field: usize| fields.get(field - FIRST_FIELD)?.parse::<u64>().ok();
    Some(Process {
        pid,
        parent: fields.get(4 - FIRST_FIELD)?.parse().ok()?,
        ticks: number(14)? + number(15)?,
        rss_pages: number(24)?,
    })
}

/// The first field after the name is the third of the line.
const FIRST_FIELD: usize = 3;
/// The program's own name among the arguments that [`Place::command`] puts before it.
const PROGRAM_ARGUMENT: usize = 8;
const POLL: Duration = Duration::from_millis(20);
const READY_MAX: Duration = Duration::from_secs(15);
const END_MAX: Duration = Duration::from_secs(5);
/// Memory has settled when so many samples in a row differ by no more than this share.
const SETTLE_SAMPLES: usize = 5;
const SETTLE_SHARE: f64 = 0.002;
const SETTLE_POLL: Duration = Duration::from_millis(200);
const SETTLE_MAX: Duration = Duration::from_secs(10);
const LOG_LINES_SHOWN: usize = 2;
const LOG_LINE_CHARS: usize = 240;

#[cfg(test)]
mod tests;
