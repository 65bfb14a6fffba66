//! `polypeer ping`.

use std::time::Duration;

use serde_json::json;

use super::args::Ping;
use super::output::Output;
use super::{Failure, client};

pub(super) async fn run(arguments: Ping, output: Output) -> Result<(), Failure> {
    let (node, connection) = client::connect(&arguments.target).await?;
    let mut rtts = Vec::new();
    let sent = arguments.count;
    for number in 1..=sent {
        if number > 1 {
            tokio::time::sleep(arguments.interval).await;
        }
        match connection.ping().await {
            Ok(rtt) => {
                rtts.push(rtt);
                let value = json!({ "ping": number, "milliseconds": milliseconds(rtt) });
                output.print(value, || {
                    let peer = connection.peer_id();
                    format!("{number}: {:.3} ms from {peer}", milliseconds(rtt))
                });
            }
            Err(error) => {
                let value = json!({ "ping": number, "error": error.to_string() });
                output.print(value, || format!("{number}: {error}"));
            }
        }
    }
    node.close().await;
    let lost = sent - rtts.len() as u32;
    let least = rtts.iter().min().copied().unwrap_or_default();
    let most = rtts.iter().max().copied().unwrap_or_default();
    let mean = rtts.iter().sum::<Duration>() / (rtts.len() as u32).max(1);
    let (least, mean, most) = (milliseconds(least), milliseconds(mean), milliseconds(most));
    let value = json!({
        "sent": sent, "lost": lost,
        "least": least, "mean": mean, "most": most,
        "peer": connection.peer_id().to_string(),
    });
    output.print(value, || {
        format!("{sent} sent, {lost} lost; least {least:.3}, mean {mean:.3}, most {most:.3} ms")
    });
    if lost > 0 { Err(Failure::Lost { lost, sent }) } else { Ok(()) }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
