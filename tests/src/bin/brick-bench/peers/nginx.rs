//! nginx serving files: what a static host does with the same bytes.

use std::path::Path;

use brick_tests::process::{Room, free_address};

use super::Server;
use crate::tools::Tools;
use crate::trouble::Trouble;

/// Serves the files below `root`, with one worker on processor `cpu`.
///
/// # Errors
/// [`Trouble`] when it is not there or does not start.
pub fn start(tools: &Tools, root: &Path, cpu: &str) -> Result<Server, Trouble> {
    let program = tools.debian("nginx", "nginx-light")?;
    let taskset = tools.debian("taskset", "util-linux")?;
    let (room, address) = (Room::new(), free_address());
    let work = room.work();
    let work = work.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {work}/{kind};\n"))
        .collect();
    // A worker changes to another user when root starts it; the files are ours alone.
    let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
    let root = root.display();
    room.write(
        "nginx.conf",
        format!(
            "daemon off;\n{user}worker_processes 1;\npid {work}/pid;\nerror_log {work}/error.log;\n\
             events {{ worker_connections 512; }}\nhttp {{\n    access_log off;\n    sendfile on;\n    tcp_nopush on;\n    \
             keepalive_requests 100000000;\n    open_file_cache max=1000;\n{temporary}    \
             server {{ listen {address}; root {root}; }}\n}}\n"
        ),
    );
    let (program, config) = (program.display().to_string(), format!("{work}/nginx.conf"));
    let (prefix, log) = (work.to_string(), format!("{work}/error.log"));
    let args = ["-c", cpu, &program, "-p", &prefix, "-c", &config, "-e", &log];
    Server::start(room, address, &taskset, &args)
}
