//! `skyshield rules`: what is looked for, and what the rules say of a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::{Value, json};

use super::{Failure, Rules, show};
use crate::config::Config;
use crate::engine::standing::Standing;
use crate::inspect::{Request, own};
use crate::verdict::Settings;

pub(super) fn obey(config: &Config, rules: &Rules, json: bool) -> Result<(), Failure> {
    match rules {
        Rules::List => {
            let rows: Vec<_> = own::infos(&config.inspect).map(|info| json!(info)).collect();
            show::rules(&rows, json);
        }
        Rules::Explain { rule } => {
            let found = own::infos(&config.inspect).find(|info| info.id == *rule);
            let info = found.ok_or_else(|| {
                Failure::Refused(format!("there is no rule `{rule}`; `skyshield rules list` names them"))
            })?;
            show::rule(&json!(info), json);
        }
        Rules::Test { file } => {
            let tested = test(config, file)
                .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
            show::tested(&tested, json);
        }
    }
    Ok(())
}

fn test(config: &Config, file: &Path) -> io::Result<Vec<Value>> {
    let lines: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(file)?))
    };
    let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
    let mut tested = Vec::new();
    for line in lines.split(b'\n') {
        let line = line?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let mut target = b"/?q=".to_vec();
        for byte in line {
            target.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
        let request = Request { method: b"GET", target: &target, headers: &[], body: b"" };
        let opinion = settings.opinion(&request, Standing::default());
        tested.push(json!({
            "value": String::from_utf8_lossy(line),
            "refused": opinion.refuses(),
            "score": opinion.bill.score(),
            "findings": opinion.inspection.findings,
            "observed": opinion.inspection.observed,
        }));
    }
    Ok(tested)
}
