//! The code of a module compiled for this machine: `native MODULE CONFIG FILE ROUNDS` takes the lines of
//! a file through it, again and again, and prints nanoseconds a record.

use std::hint::black_box;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

use firehose_transform::{Outcome, Record, Transform};
use flatten::Flatten;
use json_value::JsonValue;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["flatten", config, input, rounds] => run::<Flatten>(config, input, rounds),
        ["json-value", config, input, rounds] => run::<JsonValue>(config, input, rounds),
        _ => Err("usage: native flatten|json-value CONFIG FILE ROUNDS".into()),
    };
    let result = result.and_then(|figure| Ok(writeln!(io::stdout(), "{figure:.2}")?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run<T: Transform>(
    config: &str,
    input: &str,
    rounds: &str,
) -> Result<f64, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(input)?;
    let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
    let rounds: u32 = rounds.parse()?;
    let config = serde_json::from_str(config)?;
    let mut transform = T::configure(config).map_err(firehose_transform::Failure::into_text)?;
    let mut round = || -> Result<(), String> {
        // As the host does it: records of a call together, outcomes gathered.
        for call in lines.chunks(256) {
            let outcomes: Result<Vec<Outcome>, _> = call
                .iter()
                .map(|line| transform.transform(Record::new(line.to_vec())))
                .collect();
            black_box(outcomes.map_err(firehose_transform::Failure::into_text)?);
        }
        Ok(())
    };
    round()?;
    let begun = Instant::now();
    for _ in 0..rounds {
        round()?;
    }
    let records = f64::from(rounds) * u32::try_from(lines.len()).map(f64::from)?;
    Ok(begun.elapsed().as_secs_f64() * 1e9 / records)
}
