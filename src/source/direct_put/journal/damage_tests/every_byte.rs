//! Every bit, every length and every sector of a small journal that was killed right after its last
//! answer: what was accepted is read, or its loss is told.

use super::*;

/// A small record: its name, and as many bytes more.
fn small(name: u64) -> PutBatch {
    let mut batch = PutBatch::default();
    let length = usize::try_from(name).unwrap();
    batch.push(&[&name.to_le_bytes()[..], &vec![b'.'; length]].concat());
    batch
}

/// A disk with a journal of some groups of several frames, as a killed process leaves it, and how
/// many records it has accepted.
async fn killed(epochs: u32) -> (TornDisk, u64) {
    let disk = TornDisk::new(1);
    let mut names = 0;
    for epoch in 0..epochs {
        let opened = open(&disk, known(epoch, None));
        for group in [1, 4, 3] {
            let mut together = tokio::task::JoinSet::new();
            for name in names..names + group {
                let journal = opened.journal.clone();
                together.spawn(async move { journal.append(small(name)).await.unwrap() });
            }
            together.join_all().await;
            names += group;
        }
        if epoch + 1 == epochs {
            return (disk.crash(0), names);
        }
        close(opened.journal).await;
    }
    unreachable!("there is an epoch")
}

/// The newest segment of a journal that has lived for so many epochs, and the bytes of it that mean
/// something.
fn newest(disk: &TornDisk, epochs: u32) -> (PathBuf, u64) {
    let path = segment(u64::from(epochs));
    let file = disk.open(&path, OpenMode::Existing).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (path, used as u64)
}

/// Opens what is left and reads it. Panics when a record is neither there nor its loss told, when one
/// comes twice, and when one comes that never was.
async fn judge(disk: TornDisk, epochs: u32, accepted: u64, what: &str) {
    let mut opened = match try_open(&disk, known(epochs, None)) {
        Ok(opened) => opened,
        Err(JournalError::LoudStop { .. }) => return,
        Err(error) => panic!("{what}: {error}"),
    };
    let names = read(&mut opened.reader).await;
    assert!(
        names.is_sorted_by(|left, right| left < right),
        "{what}: {names:?}"
    );
    assert!(
        names.iter().all(|name| *name < accepted),
        "{what}: {names:?}"
    );
    let told = opened.doubtful > 0
        || !opened.missing.is_empty()
        || !opened.reader.take_missing().is_empty()
        || (1..=u64::from(epochs)).any(|number| exists(&disk, FileKind::Quarantined, number));
    assert!(
        told || names.len() as u64 == accepted,
        "{what}: silently only {names:?}"
    );
    close(opened.journal).await;
}

#[tokio::test]
async fn no_flipped_bit_loses_an_accepted_record_silently() {
    for epochs in [1, 2] {
        let (disk, accepted) = killed(epochs).await;
        let (path, used) = newest(&disk, epochs);
        for byte in (0..96).chain(HEADER_BYTES..used + 16) {
            for bit in 0..8 {
                let damaged = disk.crash(0);
                damaged.rot(&path, byte, 1 << bit).unwrap();
                judge(
                    damaged,
                    epochs,
                    accepted,
                    &format!("bit {bit} of byte {byte}"),
                )
                .await;
            }
        }
    }
}

#[tokio::test]
async fn no_cut_loses_an_accepted_record_silently() {
    for epochs in [1, 2] {
        let (disk, accepted) = killed(epochs).await;
        let (path, used) = newest(&disk, epochs);
        for len in (0..used + 16).filter(|len| *len >= 4_000 || len % 61 == 0) {
            let damaged = disk.crash(0);
            let file = damaged.open(&path, OpenMode::Existing).unwrap();
            file.set_len(len).unwrap();
            judge(damaged, epochs, accepted, &format!("cut to {len}")).await;
        }
    }
}

#[tokio::test]
async fn no_lost_sector_loses_an_accepted_record_silently() {
    for epochs in [1, 2] {
        let (disk, accepted) = killed(epochs).await;
        let (path, used) = newest(&disk, epochs);
        for sector in 0..=used.div_ceil(512) {
            let zeroed = disk.crash(0);
            let file = zeroed.open(&path, OpenMode::Existing).unwrap();
            file.write_all_at(&[0; 512], sector * 512).unwrap();
            judge(zeroed, epochs, accepted, &format!("zeroed sector {sector}")).await;
            let spoiled = disk.crash(0);
            spoiled
                .spoil(&path, sector * 512..sector * 512 + 512)
                .unwrap();
            judge(spoiled, epochs, accepted, &format!("lost sector {sector}")).await;
        }
    }
}
