//! The output and the input of commands.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Dev, PROGRAM};

#[tokio::test]
async fn control_and_bidi_characters_of_users_are_escaped_in_human_output_only() {
    let dev = Dev::start(&[]).await;
    let text = "red \u{1b}[31m and \u{202e}reversed";
    let chat = dev.cli(&["chat", "demo", text]);
    assert_eq!(String::from_utf8_lossy(&chat.stdout), "echo: red \\u{1b}[31m and \\u{202e}reversed\n");
    let json = dev.cli(&["chat", "demo", text, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["reply"], format!("echo: {text}"));
}

#[tokio::test]
async fn a_full_device_as_output_is_an_error_and_a_closed_pipe_is_not() {
    let dev = Dev::start(&["--no-workers"]).await;
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for args in [&["queue", "stats"][..], &["agents", "list", "--json"], &["--help"]] {
        let ended = dev.command(args).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{args:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot be written"), "{args:?}");
    }
    let mut closed = dev.command(&["queue", "stats"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(closed.stdout.take());
    assert!(closed.wait().unwrap().success());
}

/// A server that answers every request with a redirect to itself, and counts requests.
async fn redirecting() -> (String, tokio::sync::watch::Receiver<usize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (count, counted) = tokio::sync::watch::channel(0);
    let answer = format!(
        "HTTP/1.1 307 Moved\r\nlocation: {url}/elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.send_modify(|count| *count += 1);
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, counted)
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (url, counted) = redirecting().await;
    let mut command = tokio::process::Command::new(PROGRAM);
    let ended = command.args(["--url", &url, "--key", "k", "queue", "stats"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("redirects are not followed"), "{said}");
    assert_eq!(*counted.borrow(), 1);
}

#[tokio::test]
async fn secrets_set_does_not_echo_on_a_terminal() {
    let dev = Dev::start(&["--no-workers"]).await;
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let own_side = || File::options().read(true).write(true).open(&name).unwrap();
    let kept_open = own_side();
    let mut set: Command = dev.command(&["secrets", "set", "model.apiKey"]);
    let mut child = set.stdin(own_side()).stdout(own_side()).stderr(own_side()).spawn().unwrap();
    let mut terminal = File::from(terminal);
    let mut shown = String::new();
    let mut chunk = [0; 1_024];
    // The prompt comes before the echo is off, so the test waits until the terminal hides its input.
    while !shown.contains("Ctrl-D") {
        let read = terminal.read(&mut chunk).unwrap();
        shown.push_str(&String::from_utf8_lossy(&chunk[..read]));
    }
    crate::support::eventually("the hidden input", async || {
        let modes = rustix::termios::tcgetattr(&kept_open).unwrap().local_modes;
        (!modes.contains(rustix::termios::LocalModes::ECHO)).then_some(())
    })
    .await;
    terminal.write_all(b"typed-secret\n\x04").unwrap();
    while !shown.contains("has version") && !shown.contains("error") {
        let read = terminal.read(&mut chunk).unwrap();
        shown.push_str(&String::from_utf8_lossy(&chunk[..read]));
    }
    assert!(child.wait().unwrap().success(), "{shown}");
    assert!(!shown.contains("typed-secret"), "{shown}");
    let modes = rustix::termios::tcgetattr(&kept_open).unwrap().local_modes;
    assert!(modes.contains(rustix::termios::LocalModes::ECHO), "the terminal shows input again");
}
