//! A changed migration must be compiled in again; the macro alone does not see a new file.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
