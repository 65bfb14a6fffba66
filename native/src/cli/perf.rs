//! `polypeer perf`.

use std::time::Duration;

use polypeer_native::service::perf;
use serde_json::json;

use super::args::Perf;
use super::output::Output;
use super::{Failure, client};

const MIB: f64 = 1_048_576.0;

pub(super) async fn run(arguments: Perf, output: Output) -> Result<(), Failure> {
    let (node, connection) = client::connect(&arguments.target).await?;
    let Perf { upload, download, .. } = arguments;
    if upload > 0 {
        report(output, "upload", upload, perf::measure(&connection, upload, 0).await?);
    }
    if download > 0 {
        report(output, "download", download, perf::measure(&connection, 0, download).await?);
    }
    node.close().await;
    Ok(())
}

fn report(output: Output, direction: &str, bytes: u64, time: Duration) {
    let seconds = time.as_secs_f64();
    let mebibytes = bytes as f64 / MIB;
    let rate = mebibytes / seconds;
    let value = json!({
        "direction": direction, "bytes": bytes, "seconds": seconds, "mebibytesPerSecond": rate,
    });
    output.print(value, || {
        format!("{direction}: {rate:.1} MiB/s ({mebibytes:.1} MiB in {seconds:.3} s)")
    });
}
