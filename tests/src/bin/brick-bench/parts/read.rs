//! How fast is what everybody reads, beside nginx with the same bytes and beside each other?

use std::collections::BTreeMap;

use super::{Bench, rounds};
use crate::content::Content;
use crate::figure::{Bound, Figure, Round};
use crate::machine::file_reads;
use crate::peers::nginx;
use crate::trouble::Trouble;
use crate::wrk::{ANSWERING_CPU, Answered, Question, Wrk};
use crate::yard::Yard;

/// Releases beside those that are asked for: enough for a full tile of the log.
const BESIDE: usize = 300;
/// Size of the index file, about.
const INDEX_BYTES: usize = 2_048;
/// Size of the archive, about.
const ARCHIVE_BYTES: usize = 102_400;
/// The files, as they lie below the publisher's name.
const INDEX: &str = "/index/north.example/idx00000.jsonl";
const INDEX_PROOF: &str = "/index/north.example/idx00000.jsonl.proof";
const ARCHIVE: &str = "/bricks/north.example/big00000/0.0.1/archive";
const RELEASE_PROOF: &str = "/bricks/north.example/big00000/0.0.1/proof";
const TILE: &str = "/logs/north.example/tile/0/000";

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let wrk = Wrk::find(&bench.tools)?;
    let yard = Yard::found(&["registry.north.example"], Some(ANSWERING_CPU));
    fill(&yard)?;
    let ((index, etag), (archive, _)) = (yard.get(INDEX)?, yard.get(ARCHIVE)?);
    let etag = etag.ok_or_else(|| Trouble::failed("the index file", "it has no ETag"))?;
    let root = tempfile::tempdir().map_err(|err| Trouble::failed("a temporary folder", err))?;
    for (name, bytes) in [("index", &index), ("archive", &archive)] {
        std::fs::write(root.path().join(name), bytes)
            .map_err(|err| Trouble::failed("a file to serve", err))?;
    }
    let nginx = nginx::start(&bench.tools, root.path(), ANSWERING_CPU)?;
    let nginx_url = |name: &str| format!("http://{}/{name}", nginx.address);
    let nginx_etag = yard.federation.block_on(etag_of(&nginx_url("index")))?;

    let ours = |path: &str, headers: Vec<String>| Question { pid: yard.pid(), url: yard.url(path), headers };
    let theirs = |name: &str, headers| Question { pid: nginx.pid(), url: nginx_url(name), headers };
    let matches = |etag: &str| vec![format!("If-None-Match: {etag}")];
    // In turn within a round: what is compared stands side by side.
    let questions = [
        ("nginx index", theirs("index", Vec::new())),
        ("index", ours(INDEX, Vec::new())),
        ("nginx archive", theirs("archive", Vec::new())),
        ("archive", ours(ARCHIVE, Vec::new())),
        ("nginx 304", theirs("index", matches(&nginx_etag))),
        ("304", ours(INDEX, matches(&etag))),
        ("index proof", ours(INDEX_PROOF, Vec::new())),
        ("tile", ours(TILE, Vec::new())),
        ("release proof", ours(RELEASE_PROOF, Vec::new())),
    ];
    for (_, question) in &questions {
        yard.federation.block_on(check(question))?;
    }
    let mut answers: BTreeMap<&str, Vec<Answered>> = BTreeMap::new();
    let mut reads = Vec::new();
    for _ in 0..bench.rounds {
        for (name, question) in &questions {
            let before = file_reads(question.pid);
            let answered = wrk.ask(question, bench.time)?;
            if *name == "304"
                && let (Some(before), Some(after)) = (before, file_reads(question.pid))
            {
                let requests = answered.per_second * bench.time.as_secs_f64();
                let ours = (after - before) as f64 / requests.max(1.0);
                reads.push(Round { ours, other: None, foreign_cores: answered.foreign_cores });
            }
            answers.entry(name).or_default().push(answered);
        }
    }
    Ok(figures(&answers, reads, index.len(), archive.len()))
}

fn fill(yard: &Yard) -> Result<(), Trouble> {
    let publisher = &yard.publisher;
    yard.fill(0..BESIDE, |n| Content::of(publisher, "pkg", n % 100, n / 100, 1_500))?;
    yard.fill(0..1, |n| Content::of(publisher, "big", n, 0, ARCHIVE_BYTES))?;
    yard.fill(0..1, |n| Content::of(publisher, "idx", 0, n, 1_500))?;
    let line = yard.get(INDEX)?.0.len().max(1);
    yard.fill(1..INDEX_BYTES.div_ceil(line), |n| Content::of(publisher, "idx", 0, n, 1_500))
}

async fn etag_of(url: &str) -> Result<String, Trouble> {
    let failed = |err| Trouble::failed(format!("GET {url}"), err);
    let answer = reqwest::get(url).await.map_err(failed)?.error_for_status().map_err(failed)?;
    let etag = answer.headers().get("etag").and_then(|etag| etag.to_str().ok());
    etag.map(str::to_owned).ok_or_else(|| Trouble::failed(format!("GET {url}"), "it has no ETag"))
}

/// A wrong answer is fast and no result.
async fn check(question: &Question) -> Result<(), Trouble> {
    let failed = |err| Trouble::failed(format!("GET {}", question.url), err);
    let mut request = reqwest::Client::new().get(&question.url);
    let expected = if question.headers.is_empty() { 200 } else { 304 };
    for (name, value) in question.headers.iter().filter_map(|header| header.split_once(": ")) {
        request = request.header(name, value);
    }
    let status = request.send().await.map_err(failed)?.status();
    if status.as_u16() == expected {
        Ok(())
    } else {
        Err(Trouble::failed(format!("GET {}", question.url), format!("{status} instead of {expected}")))
    }
}

fn figures(
    answers: &BTreeMap<&str, Vec<Answered>>,
    reads: Vec<Round>,
    index_bytes: usize,
    archive_bytes: usize,
) -> Vec<Figure> {
    use Bound::{AtLeast, AtMost};
    let of = |name: &str| answers.get(name).map_or(&[][..], Vec::as_slice);
    let rate = |name: &str, ours: &str, other: &str, peer: &str| {
        Figure::wall(format!("{name}: answers"), "/s", peer).measured(rounds(
            of(ours),
            of(other),
            |answered| answered.per_second,
        ))
    };
    let cpu = |name: &str, ours: &str, other: &str, peer: &str| {
        Figure::own(format!("{name}: CPU of one"), "µs", peer).measured(rounds(
            of(ours),
            of(other),
            |answered| answered.cpu_us,
        ))
    };
    let p99 = |name: &str, ours: &str, other: &str| {
        Figure::wall(format!("{name}: p99"), "ms", "nginx").measured(rounds(
            of(ours),
            of(other),
            |answered| answered.p99_ms,
        ))
    };
    let index = format!("index GET {index_bytes} B");
    let archive = format!("archive GET {archive_bytes} B");
    let mut figures = vec![
        rate(&index, "index", "nginx index", "nginx").must(AtLeast(0.8)).aim(AtLeast(1.0)),
        cpu(&index, "index", "nginx index", "nginx").must(AtMost(1.3)),
        p99(&index, "index", "nginx index").must(AtMost(2.0)),
        rate(&archive, "archive", "nginx archive", "nginx").must(AtLeast(0.6)).aim(AtLeast(0.9)),
        cpu(&archive, "archive", "nginx archive", "nginx").must(AtMost(2.0)),
        p99(&archive, "archive", "nginx archive"),
        rate("conditional GET (304)", "304", "nginx 304", "nginx").must(AtLeast(0.9)).aim(AtLeast(1.0)),
        cpu("conditional GET (304)", "304", "nginx 304", "nginx"),
        Figure::own("conditional GET (304): read calls of one", "", "").must(AtMost(0.01)).measured(reads),
    ];
    for name in ["index proof", "tile", "release proof"] {
        let get = format!("{name} GET");
        figures.push(rate(&get, name, "index", "index GET").must(AtLeast(0.4)).aim(AtLeast(0.7)));
        figures.push(cpu(&get, name, "index", "index GET"));
    }
    figures
}
