//! What the operating system says of this process, under the names that Prometheus' own client libraries use.

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use std::fs;

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: &'static str,
    pub(super) value: f64,
}

/// What is known now: nothing where there is no `/proc`.
pub(super) fn samples() -> Vec<Sample> {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let stat = stat.as_deref().and_then(|text| Stat::read(text, clock_ticks_per_second() as f64));
    let booted = fs::read_to_string("/proc/stat").ok().and_then(|text| booted(&text));
    let gauge = |name, help, value| Sample { name, help, kind: "gauge", value };
    let open = fs::read_dir("/proc/self/fd").ok().map(|all| all.count() as f64);
    let limit = getrlimit(Resource::Nofile).current.map(|limit| limit as f64);
    let cpu = stat.map(|stat| Sample {
        name: "process_cpu_seconds_total",
        help: "Processor time that the process has used, its own and the kernel's",
        kind: "counter",
        value: stat.cpu_seconds,
    });
    let start = stat.zip(booted).map(|(stat, booted)| {
        let help = "When the process started, in seconds since 1970";
        gauge("process_start_time_seconds", help, booted + stat.started_seconds)
    });
    let virtual_memory = stat.map(|stat| {
        gauge("process_virtual_memory_bytes", "Virtual memory of the process", stat.virtual_bytes)
    });
    let memory = stat.map(|stat| {
        let bytes = stat.resident_pages * page_size() as f64;
        gauge("process_resident_memory_bytes", "Memory of the process that is in RAM", bytes)
    });
    let files = open.map(|open| gauge("process_open_fds", "Files and sockets that are open", open));
    let most = limit.map(|limit| gauge("process_max_fds", "How many may be open", limit));
    [cpu, start, virtual_memory, memory, files, most].into_iter().flatten().collect()
}

/// What `/proc/self/stat` says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// After the machine was booted.
    started_seconds: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    /// The fields are numbered in proc_pid_stat(5). The second is the program's name, which may have spaces and
    /// parentheses in it.
    fn read(text: &str, ticks: f64) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            started_seconds: field(22)? / ticks,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine was booted, in seconds since 1970, as `/proc/stat` says.
fn booted(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_fields_are_counted_behind_the_name() {
        let text = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 12345 1048576 77 18446 1 1\n";
        let expected = Stat {
            cpu_seconds: 3.0,
            started_seconds: 123.45,
            virtual_bytes: 1_048_576.0,
            resident_pages: 77.0,
        };
        assert_eq!(Stat::read(text, 100.0), Some(expected));
        for cut in
            ["", "42 (a", "42 (a) S 1 2", "42 (a) S x x x x x x x x x x x x x x x x x x x x x"]
        {
            assert_eq!(Stat::read(cut, 100.0), None, "{cut}");
        }
        assert_eq!(booted("cpu 1 2\nbtime 1700000000\nprocesses 3\n"), Some(1_700_000_000.0));
        assert_eq!(booted("btime soon\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_described() {
        let value = |name: &str| {
            let samples = samples();
            samples
                .iter()
                .find(|sample| sample.name == name)
                .map(|sample| sample.value)
                .expect(name)
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..86_400.0).contains(&age), "started {age} s ago");
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") < 86_400.0);
    }
}
