//! Random operations on two joined sessions, against a model of what streams
//! are: no byte is lost, altered or out of order, and every stream ends.

use std::collections::BTreeMap;

use super::super::*;
use super::pair::{CLIENT, Pair, SERVER};
use crate::Rng;

/// What the model knows of one direction of a stream.
#[derive(Default)]
struct Way {
    written: usize,
    read: usize,
    finished: bool,
    /// The reader was told of the end.
    ended: bool,
}

#[derive(Default)]
struct Model {
    ways: [Way; 2],
    reset: bool,
    /// Which ends know that the stream is over.
    over: [bool; 2],
    opened: bool,
}

/// The byte at `offset` of one direction of a stream.
fn byte(id: StreamId, from: usize, offset: usize) -> u8 {
    (offset.wrapping_mul(31) ^ (offset >> 7) ^ (id.number() as usize * 13) ^ (from * 101)) as u8
}

struct Run {
    pair: Pair,
    rng: Rng,
    models: BTreeMap<StreamId, Model>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_number(seed);
        let config = Config {
            send_buffer: 1 + rng.below(300_000) as usize,
            max_frame: 1 + rng.below(70_000) as usize,
            ..Config::default()
        };
        let mut pair = Pair::new(config, seed);
        pair.delay = pair_delay(&mut rng);
        pair.budget = 13 + rng.below(100_000) as usize;
        pair.piece = 1 + rng.below(70_000) as usize;
        Self { pair, rng, models: BTreeMap::new() }
    }

    fn pick(&mut self) -> Option<(usize, StreamId)> {
        let end = self.rng.below(2) as usize;
        let nth = self.rng.below(self.models.len() as u64) as usize;
        let (id, model) = self.models.iter().nth(nth)?;
        let outbound = (id.number() % 2 == 1) == (end == CLIENT);
        (!model.over[end] && (outbound || model.opened)).then_some((end, *id))
    }

    fn operate(&mut self) {
        let end = self.rng.below(2) as usize;
        let operation = self.rng.below(100);
        if operation < 4 {
            if let Ok(id) = self.pair.ends[end].open() {
                self.models.insert(id, Model::default());
            }
            return;
        }
        let Some((end, id)) = self.pick() else { return };
        match operation {
            4..45 => self.write(end, id),
            45..93 => self.read(end, id),
            93..96 => self.finish(end, id),
            96 => self.reset(end, id),
            97 => self.pair.ends[end].ping(self.pair.now),
            _ => {
                let weight = self.rng.below(256) as u8;
                if let Some(mut stream) = self.pair.ends[end].stream(id) {
                    stream.set_weight(weight);
                }
            }
        }
    }

    fn write(&mut self, end: usize, id: StreamId) {
        let bits = self.rng.below(18);
        let size = self.rng.below(1 << bits) as usize;
        let model = self.models.get_mut(&id).unwrap();
        let way = &mut model.ways[end];
        let bytes: Vec<u8> = (0..size).map(|i| byte(id, end, way.written + i)).collect();
        let Some(mut stream) = self.pair.ends[end].stream(id) else {
            assert!(model.reset || model.ways.iter().all(|way| way.ended));
            return;
        };
        let room = stream.writable();
        match stream.write(&bytes) {
            Ok(count) => {
                assert_eq!(count, size.min(room));
                assert!(!way.finished);
                way.written += count;
            }
            Err(WriteError::Finished) => assert!(way.finished),
            Err(_) => assert!(model.reset),
        }
    }

    fn read(&mut self, end: usize, id: StreamId) {
        let mut out = vec![0; 1 + self.rng.below(100_000) as usize];
        let in_place = self.rng.below(2) == 0;
        let model = self.models.get_mut(&id).unwrap();
        let Some(mut stream) = self.pair.ends[end].stream(id) else { return };
        let way = &mut model.ways[1 - end];
        if in_place {
            let bytes = stream.readable();
            let count = bytes.len().min(out.len());
            for (index, found) in bytes[..count].iter().enumerate() {
                assert_eq!(*found, byte(id, 1 - end, way.read + index));
            }
            way.read += count;
            stream.consume(count);
            return;
        }
        match stream.read(&mut out) {
            Read::Bytes(count) => {
                for (index, found) in out[..count].iter().enumerate() {
                    assert_eq!(*found, byte(id, 1 - end, way.read + index));
                }
                way.read += count;
                assert!(way.read <= way.written);
            }
            Read::Pending => {}
            Read::Finished => {
                assert!(way.finished && way.read == way.written);
                way.ended = true;
            }
            Read::Reset => assert!(model.reset),
        }
    }

    fn finish(&mut self, end: usize, id: StreamId) {
        if let Some(mut stream) = self.pair.ends[end].stream(id) {
            stream.finish();
            self.models.get_mut(&id).unwrap().ways[end].finished = true;
        }
    }

    fn reset(&mut self, end: usize, id: StreamId) {
        let model = self.models.get_mut(&id).unwrap();
        if let Some(stream) = self.pair.ends[end].stream(id) {
            stream.reset();
            model.reset = true;
            model.over[end] = true;
        }
    }

    fn events(&mut self) {
        for end in [CLIENT, SERVER] {
            for event in self.pair.events(end) {
                let over = match event {
                    Event::Opened(id) => {
                        let model = self.models.get_mut(&id).unwrap();
                        assert!(!std::mem::replace(&mut model.opened, true));
                        None
                    }
                    Event::Readable(id) => {
                        let model = &self.models[&id];
                        assert!(model.ways[1 - end].read < model.ways[1 - end].written);
                        None
                    }
                    Event::Finished(id) => {
                        assert!(self.models[&id].ways[1 - end].finished);
                        None
                    }
                    Event::Reset(id) => {
                        assert!(self.models[&id].reset);
                        Some(id)
                    }
                    Event::Closed(id) => {
                        let model = &self.models[&id];
                        assert!(model.ways.iter().all(|way| way.finished));
                        assert_eq!(model.ways[1 - end].read, model.ways[1 - end].written);
                        Some(id)
                    }
                    Event::Writable(id) => {
                        let half = self.pair.ends[end].stream(id).map(|stream| stream.writable());
                        assert!(half.is_none_or(|room| room > 0));
                        None
                    }
                    Event::GoAway(_) => panic!("nobody said go away"),
                    Event::Pong(_) => None,
                };
                if let Some(id) = over {
                    let model = self.models.get_mut(&id).unwrap();
                    assert!(!std::mem::replace(&mut model.over[end], true));
                    assert!(self.pair.ends[end].stream(id).is_none());
                }
            }
        }
    }

    /// Finishes and reads everything, until every stream is over at both ends.
    fn conclude(mut self) {
        let ids: Vec<_> = self.models.keys().copied().collect();
        for _ in 0..100_000 {
            self.pair.step();
            self.events();
            for &id in &ids {
                for end in [CLIENT, SERVER] {
                    let model = &self.models[&id];
                    let outbound = (id.number() % 2 == 1) == (end == CLIENT);
                    if !model.over[end] && (outbound || model.opened) {
                        self.finish(end, id);
                        self.read(end, id);
                    }
                }
            }
            if self.pair.ends.iter().all(Yamux::is_idle) {
                break;
            }
        }
        for (id, model) in &self.models {
            if !model.reset {
                assert!(model.opened && model.over == [true, true], "{id}");
                assert!(model.ways.iter().all(|way| way.read == way.written), "{id}");
            }
        }
        self.pair.rest();
        for end in &self.pair.ends {
            assert_eq!((end.unread(), end.unsent(), end.streams()), (0, 0, (0, 0)));
            assert_eq!(end.session.lent.bytes(), 0);
            assert_eq!(end.session.unacknowledged_in, 0);
            assert_eq!(end.session.unacknowledged_out, 0);
            assert_eq!(end.memory(), end.used.memory());
        }
    }
}

fn pair_delay(rng: &mut Rng) -> core::time::Duration {
    core::time::Duration::from_millis(rng.below(50))
}

#[test]
fn loses_alters_and_reorders_nothing() {
    for seed in 0..150 {
        let mut run = Run::new(seed);
        for _ in 0..600 {
            for _ in 0..run.rng.below(4) {
                run.operate();
            }
            run.events();
            run.pair.step();
        }
        run.conclude();
    }
}

#[test]
fn repeats_from_its_seed() {
    let trace = |seed| {
        let mut run = Run::new(seed);
        for _ in 0..300 {
            run.operate();
            run.events();
            run.pair.step();
        }
        run.pair.ends.map(|end| end.stats())
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn takes_one_byte_at_a_time() {
    let mut run = Run::new(3);
    run.pair.piece = 1;
    for _ in 0..600 {
        run.operate();
        run.events();
        run.pair.step();
    }
    run.conclude();
}
