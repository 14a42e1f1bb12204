//! WASI's clocks and random numbers for modules that import them, made deterministic: time is the
//! record's arrival, numbers come from a generator seeded by its position. Nothing else of WASI is
//! there. A module that imports any of it is called with one record at a time, so that both are the
//! record's own.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use super::fault::GuestFault;
use super::host::Host;

/// A guest may ask for so many random bytes at a time.
const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// The interfaces that are there, of any WASI 0.2.
pub(super) const INTERFACES: [&str; 5] = [
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
];

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Offers one of [`INTERFACES`] under the name, version included, by which a component imports it.
pub(super) fn link(linker: &mut Linker<Host>, import: &str) -> wasmtime::Result<()> {
    let mut instance = linker.instance(import)?;
    match import.split('@').next().unwrap_or_default() {
        "wasi:clocks/wall-clock" => {
            instance.func_wrap("now", |store: StoreContextMut<'_, Host>, (): ()| {
                Ok((datetime(store.data().now_ms),))
            })?;
            instance.func_wrap("resolution", |_: StoreContextMut<'_, Host>, (): ()| {
                Ok((datetime(1),))
            })
        }
        "wasi:clocks/monotonic-clock" => {
            instance.func_wrap("now", |store: StoreContextMut<'_, Host>, (): ()| {
                let ms = u64::try_from(store.data().now_ms).unwrap_or_default();
                Ok((ms.saturating_mul(1_000_000),))
            })?;
            instance.func_wrap("resolution", |_: StoreContextMut<'_, Host>, (): ()| {
                Ok((1_000_000_u64,))
            })
        }
        "wasi:random/insecure-seed" => instance.func_wrap(
            "insecure-seed",
            |mut store: StoreContextMut<'_, Host>, (): ()| {
                let random = &mut store.data_mut().random;
                Ok(((random.u64(..), random.u64(..)),))
            },
        ),
        "wasi:random/random" => random(&mut instance, "get-random-bytes", "get-random-u64"),
        _ => random(
            &mut instance,
            "get-insecure-random-bytes",
            "get-insecure-random-u64",
        ),
    }
}

fn random(
    instance: &mut wasmtime::component::LinkerInstance<'_, Host>,
    bytes: &str,
    number: &str,
) -> wasmtime::Result<()> {
    instance.func_wrap(
        bytes,
        |mut store: StoreContextMut<'_, Host>, (length,): (u64,)| {
            let length = usize::try_from(length.min(RANDOM_BYTES_MAX + 1))?;
            if length as u64 > RANDOM_BYTES_MAX {
                return Err(GuestFault("more than 1 MiB of random bytes at a time").into());
            }
            let mut bytes = vec![0_u8; length];
            store.data_mut().random.fill(&mut bytes);
            Ok((bytes,))
        },
    )?;
    instance.func_wrap(number, |mut store: StoreContextMut<'_, Host>, (): ()| {
        Ok((store.data_mut().random.u64(..),))
    })
}

fn datetime(ms: i64) -> Datetime {
    let ms = u64::try_from(ms).unwrap_or_default();
    Datetime {
        seconds: ms / 1000,
        nanoseconds: u32::try_from(ms % 1000 * 1_000_000).unwrap_or_default(),
    }
}
