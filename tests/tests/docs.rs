//! Do the pages say what is so? Links, names, examples and tables in `docs`, held against the code.

#[path = "docs/bounds.rs"]
mod bounds;
#[path = "docs/example.rs"]
mod example;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/made.rs"]
mod made;
#[path = "docs/page_text.rs"]
mod page_text;
#[path = "docs/pages.rs"]
mod pages;
#[path = "docs/pretty.rs"]
mod pretty;
