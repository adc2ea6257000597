//! What the system tells of this process. Where it tells nothing, as outside of Linux, there is nothing to show.

use std::fs;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    /// Processor time, in seconds.
    pub cpu_seconds: Option<f64>,
    pub open_files: Option<u64>,
    pub max_files: Option<u64>,
}

impl Process {
    pub fn now() -> Process {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        // The folder's own handle is open while it is read.
        let open_files = fs::read_dir("/proc/self/fd").ok().map(|files| (files.count() as u64).saturating_sub(1));
        Process {
            resident_bytes: field("VmRSS").map(|kibibytes| kibibytes * 1024),
            virtual_bytes: field("VmSize").map(|kibibytes| kibibytes * 1024),
            threads: field("Threads"),
            cpu_seconds: cpu_seconds(),
            open_files,
            max_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name before it is in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_plausible() {
        let _file = fs::File::open("/proc/self/stat").unwrap();
        let process = Process::now();
        assert!(process.resident_bytes.unwrap() > 1 << 20 && process.virtual_bytes >= process.resident_bytes);
        assert!(process.threads.unwrap() >= 1 && process.open_files.unwrap() >= 4);
        assert!(process.cpu_seconds.unwrap() < 1e6);
    }
}
