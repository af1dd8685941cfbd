//! A disk that is full: both logs are on it.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
};

use e2e::deadline::eventually;
use serde_json::Value;
use tokio::{net::TcpStream, process::Command};

use crate::{
    namespace,
    stage::{LIMIT, Stage},
};

/// In a mount namespace of its own, with a small file system for the logs.
#[test]
fn on_a_full_disk_traffic_goes_on_and_the_logs_do_when_there_is_room() {
    let test = "on_a_full_disk_traffic_goes_on_and_the_logs_do_when_there_is_room";
    namespace::run(&format!("disk::{test}"), "--mount", full_disk());
}

async fn full_disk() {
    let stage = Stage::prepare();
    let disk = stage.folder.file("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
        .arg(&disk)
        .status()
        .await;
    assert!(mounted.unwrap().success());
    for log in ["front.log", "front-access.jsonl"] {
        symlink(disk.join(log), stage.folder.file(log)).unwrap();
    }
    let mut stage = stage.open(&[], "attempts: 1", "").await;
    assert!(stage.visit().await.is_some());
    stage.log(1).await;

    let filler = fill(&disk);
    let failures = "l4_front_access_log_write_errors_total";
    let lost = "l4_front_access_log_lines_lost_total";
    let unlogged = "l4_front_log_lines_lost_total";
    for _visit in 0..20 {
        assert!(stage.visit().await.is_some());
    }
    eventually("a failed write", LIMIT, async || {
        (stage.front.metric(failures).await.unwrap() > 0).then_some(())
    })
    .await
    .unwrap();
    // Each reload is logged, and the last page of the file has room for some lines.
    eventually("a line that is not logged", LIMIT, async || {
        stage.front.reload().await.unwrap();
        (stage.front.metric(unlogged).await.unwrap() > 0).then_some(())
    })
    .await
    .unwrap();
    // More than can wait in the queue.
    for _connection in 0..9500 {
        drop(TcpStream::connect(stage.front.address()).await.unwrap());
    }
    eventually("lines that are lost", LIMIT, async || {
        (stage.front.metric(lost).await.unwrap() > 0).then_some(())
    })
    .await
    .unwrap();
    assert!(stage.visit().await.is_some());
    let cut = fs::read(stage.folder.file("front-access.jsonl")).unwrap();
    assert!(!cut.ends_with(b"\n"), "the disk was full between two lines");

    fs::remove_file(filler).unwrap();
    eventually("every line that is not lost", LIMIT, async || {
        let ended = stage.ended().await;
        let lost = usize::try_from(stage.front.metric(lost).await.unwrap()).unwrap();
        let text = fs::read_to_string(stage.folder.file("front-access.jsonl")).unwrap();
        (text.ends_with('\n') && text.lines().count() + lost == ended).then_some(())
    })
    .await
    .unwrap();
    let text = fs::read_to_string(stage.folder.file("front-access.jsonl")).unwrap();
    for line in text.lines() {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(parsed["connection_id"].is_string(), "{line}");
    }
    stage.front.reload().await.unwrap();
    let log = stage.process_log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("configuration reloaded"), "{last}");
    assert_eq!(last.matches("l4_front::").count(), 1, "{last}");
    assert!(stage.visit().await.is_some());
}

impl Stage {
    /// How many connections have ended so far.
    async fn ended(&self) -> usize {
        let page = self.front.page("/metrics").await.unwrap();
        let name = "l4_front_downstream_connections_ended_total{";
        let lines = page.lines().filter(|line| line.starts_with(name));
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        counts.sum()
    }
}

/// Leaves no room but in pages that files have already.
fn fill(disk: &Path) -> std::path::PathBuf {
    let path = disk.join("filler");
    let mut file = File::create(&path).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    path
}
