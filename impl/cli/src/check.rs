//! `pbft config check`.

use super::{CliError, Exit, Format, Settings, print_json};
use pbft_core::types::ReplicaId;
use pbft_node::config::Cluster;
use pbft_node::config::feasible::{self, ViewChangeSize};
use pbft_node::hex;
use pbft_output::outln;
use serde_json::json;
use std::path::Path;

pub(super) fn run(file: &Path, format: Format) -> Result<Exit, CliError> {
    let cluster = Cluster::load(file)?;
    // A replica has both files in one directory.
    let settings = Settings::load(file.parent().unwrap_or(Path::new("")))?;
    let cache_bytes = settings.store_cache_bytes();
    let params = cluster.params(ReplicaId(0));
    let membership = params.membership;
    let size = ViewChangeSize::of(&params);
    match format {
        Format::Json => print_json(&json!({
            "name": cluster.name(),
            "cluster": hex::encode(&cluster.id().0),
            "replicas": membership.n(),
            "faults": membership.faults(),
            "quorum": membership.quorum(),
            "clients": cluster.clients().len(),
            "checkpoint_interval": params.checkpoint_interval,
            "window": params.window,
            "store_cache_bytes": cache_bytes,
            "view_change": {
                "new_view_signatures": size.new_view,
                "signatures": size.all,
                "milliseconds": size.time().as_millis() as u64,
            },
        })),
        Format::Human => {
            outln!("{}: good", file.display());
            outln!("cluster {} with id {}", cluster.name(), hex::encode(&cluster.id().0));
            outln!(
                "{} replicas, up to {} faulty; quorum {}; {} clients",
                membership.n(),
                membership.faults(),
                membership.quorum(),
                cluster.clients().len()
            );
            outln!(
                "checkpoint every {} batches, window {}",
                params.checkpoint_interval,
                params.window
            );
            outln!(
                "a view change holds up to {} signatures, {:.1} s of work at {} µs each; half of the longest view \
                 timeout is {:.1} s",
                size.all,
                size.time().as_secs_f64(),
                feasible::SIGNATURE.as_micros(),
                params.view_timeout_max.as_secs_f64() / 2.0
            );
            outln!("a replica started here keeps up to {cache_bytes} bytes of its store in memory");
        }
    }
    Ok(Exit::Done)
}
