//! How the host is: health, drift, and its resources over the last minutes.

use api::Client;
use serde_json::{Value, json};

use super::told;
use crate::speaker::Speaker;

pub(super) async fn ask(client: &Client, speaker: &Speaker) -> Result<Value, api::Error> {
    let token = speaker.right().token;
    let mut status = client.status_for(Some(&token)).await?;
    let (info, past, state, disks) = tokio::join!(
        told(client, speaker, "host_info", json!({})),
        told(client, speaker, "host_resources", json!({})),
        told(client, speaker, "state_status", json!({})),
        told(client, speaker, "introspect_filesystems", json!({})),
    );
    let health = status["host"].take();
    let busy = past["series"][0]["points"].as_array();
    let busy = busy.and_then(|points| points.last()).map(|now| &now[1]);
    Ok(json!({
        "drift": health["drift"],
        "health": health,
        "awaiting": state["awaiting"],
        "last": state["last"],
        "daemon": { "version": status["version"], "uptime_s": status["uptime_s"] },
        "machine": {
            "hostname": info["kernel_hostname"],
            "operating_system": info["operating_system"]["pretty_name"],
            "kernel": info["kernel"]["release"],
            "processors": info["processors"]["count"],
        },
        "resources": {
            "now": {
                "load": info["load"],
                "cpu": busy,
                "memory": info["memory"],
                "disk": used(&disks["mounts"]),
                "uptime_seconds": info["uptime_seconds"].as_f64().map(f64::floor),
            },
            "series": past["series"],
        },
    }))
}

/// File systems that hold data, each device once, the fullest first.
fn used(mounts: &Value) -> Value {
    let mut seen = Vec::new();
    let mut used: Vec<_> = mounts
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mount| {
            let (all, taken) = (
                mount["usage"]["total_bytes"].as_f64()?,
                mount["usage"]["used_bytes"].as_f64()?,
            );
            let source = mount["source"].as_str()?;
            if all < 1.0 || !source.starts_with('/') || seen.contains(&source) {
                return None;
            }
            seen.push(source);
            Some((round(taken * 100.0 / all), mount))
        })
        .collect();
    used.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let shown = used.iter().take(12).map(|(percent, mount)| {
        json!({
            "target": mount["target"], "percent": percent,
            "total_bytes": mount["usage"]["total_bytes"], "used_bytes": mount["usage"]["used_bytes"],
        })
    });
    shown.collect()
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_shown_once() {
        let mount = |target: &str, used| json!({ "target": target, "source": "/dev/a", "usage": { "total_bytes": 10, "used_bytes": used } });
        assert_eq!(
            used(
                &json!([mount("/", 5), mount("/b", 5), { "target": "/proc", "source": "proc", "usage": null }])
            )[0]["percent"],
            50.0
        );
    }
}
