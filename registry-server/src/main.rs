//! The registry each organisation runs.

/// Gives back what a load took: glibc's keeps a part of it in each of many threads' arenas, some 100 MiB after 100,000 publishes.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    brickyard::commands::main()
}
