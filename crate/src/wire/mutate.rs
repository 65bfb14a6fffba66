//! Bytes as an attacker would bend them; for tests of parsers.

use crate::Rng;

/// Calls `check` with `count` variants of `seeds`: cut short, with bits flipped,
/// bytes replaced, inserted or added, or two of them spliced together.
pub(crate) fn mutations(number: u64, seeds: &[Vec<u8>], count: usize, check: impl Fn(&[u8])) {
    let mut rng = Rng::from_number(number);
    for _ in 0..count {
        let mut bytes = pick(&mut rng, seeds).clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as u64 + 1) as usize;
            match rng.below(6) {
                0 => bytes.truncate(at),
                1 => flip(&mut rng, &mut bytes, at),
                2 => {
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.next_u64() as u8)
                }
                3 => bytes.insert(at, rng.next_u64() as u8),
                4 => {
                    let mut more = vec![0; rng.below(40) as usize];
                    rng.fill(&mut more);
                    bytes.extend(more);
                }
                _ => {
                    let other = pick(&mut rng, seeds);
                    let from = rng.below(other.len() as u64 + 1) as usize;
                    bytes.splice(at.., other[from..].iter().copied());
                }
            }
        }
        check(&bytes);
    }
}

fn pick<'a>(rng: &mut Rng, seeds: &'a [Vec<u8>]) -> &'a Vec<u8> {
    &seeds[rng.below(seeds.len() as u64) as usize]
}

fn flip(rng: &mut Rng, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}
